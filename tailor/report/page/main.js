// The page's script: tables that sort and filter, charts, and one selected layer that all of them share.
// Everything that comes from the document is written with textContent; nothing of it is ever parsed as HTML.
import {drawers} from "./figures.js";
import {mark} from "./marks.js";
import {makeSelection} from "./selection.js";
import {enhanceTables} from "./tables.js";

const source = document.getElementById("runs").textContent;
const runs = JSON.parse(source);
const selection = makeSelection();

// A failure to draw is said where the chart would stand, and leaves the rest of the page alone.
function draw(figure, width) {
  const drawer = drawers[figure.dataset.figure];
  let parts;
  try {
    parts = drawer ? drawer({documents: runs.map((run) => run.document), names: runs.map((run) => run.name), selection, width}) : null;
  } catch (error) {
    parts = [mark("p", {class: "remark-small"}, `This chart could not be drawn: ${error.message}`)];
  }
  figure.hidden = !parts;
  const focused = figure.contains(document.activeElement) ? document.activeElement.id : "";
  figure.replaceChildren(...(parts || []));
  if (focused) document.getElementById(focused)?.focus();
}

const figures = [...document.querySelectorAll("figure[data-figure]")];
// All widths are read before anything is changed: each reading after a change would lay the whole page out again.
function redraw() {
  const widths = figures.map((figure) => Math.max(320, Math.min(1140, figure.parentElement.clientWidth)));
  figures.forEach((figure, i) => draw(figure, widths[i]));
}

redraw();
// Paper is narrower than most windows: drawn for its width, letters keep their size.
const kPaper = 700; // pixels
window.addEventListener("beforeprint", () => figures.forEach((figure) => draw(figure, kPaper)));
window.addEventListener("afterprint", redraw);
document.getElementById("plain").remove();
enhanceTables(selection);
selection.listen(redraw);

let pending = 0;
window.addEventListener("resize", () => {
  clearTimeout(pending);
  pending = setTimeout(redraw, 150);
});

const details = document.getElementById("source");
details.addEventListener("toggle", () => {
  const pre = details.querySelector("pre");
  if (!pre.textContent) pre.textContent = JSON.stringify(runs.map((run) => run.document), null, 1);
});
document.body.dataset.ready = "1";
