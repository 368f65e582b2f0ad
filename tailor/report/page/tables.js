// Tables are complete as they come. Here they learn to sort, to filter and to select.
import {mark} from "./marks.js";

const kFilterFrom = 12; // rows

function valueOf(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
}

// Numbers before words, empty cells last; equal ones keep their order.
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortBy(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const numbers = head.classList.contains("n");
  const now = head.getAttribute("aria-sort");
  const up = now ? now === "descending" : !numbers;
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
  rows.sort((a, b) => (up ? compare(a[0], b[0]) : compare(b[0], a[0])));
  table.tBodies[0].append(...rows.map((pair) => pair[1]));
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = mark("button", {type: "button"}, cell.textContent);
    button.addEventListener("click", () => sortBy(table, column));
    cell.replaceChildren(button);
  });
}

function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < kFilterFrom) return;
  const input = mark("input", {type: "search"});
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(words);
  });
  table.closest(".scroll").before(mark("label", {class: "filter"}, "Only rows with ", input));
}

function makeSelectable(selection) {
  const rows = [...document.querySelectorAll("tr[data-layer]")];
  for (const row of rows) row.tabIndex = 0;
  const chosen = (event) => (event.target instanceof Element ? event.target.closest("tr[data-layer]") : null);
  document.addEventListener("click", (event) => {
    const row = chosen(event);
    if (row) selection.set(Number(row.dataset.layer));
  });
  document.addEventListener("keydown", (event) => {
    const row = chosen(event);
    if (row !== event.target || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    selection.set(Number(row.dataset.layer));
  });
  const status = mark("p", {id: "selected", role: "status", hidden: ""});
  document.body.append(status);
  selection.listen((layer) => show(rows, status, layer, selection));
}

function show(rows, status, layer, selection) {
  let name = "";
  for (const row of rows) {
    const chosen = Number(row.dataset.layer) === layer;
    if (chosen) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
    if (chosen && !name) name = row.cells[0].textContent;
  }
  const clear = mark("button", {type: "button"}, "Clear");
  clear.addEventListener("click", () => selection.set(null));
  status.replaceChildren("Selected:", mark("bdi", {}, name.slice(0, 200)), clear);
  status.hidden = layer === null;
}

export function enhanceTables(selection) {
  for (const table of document.querySelectorAll("table")) {
    makeSortable(table);
    makeFilterable(table);
  }
  makeSelectable(selection);
}
