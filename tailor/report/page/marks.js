// Small pieces of the page that several charts need: elements, legends, names that fit, numbers for people.

export const colours = {
  plain: "#8a8f98",
  work: "#8a8f98",
  idle: "#d55e00",
  padding: "#e69f00",
  bytes: "#56b4e9",
  launch: "#cc79a7",
  old: "#8a8f98",
  fresh: "#0090d9",
  chosen: "#d55e00",
  fallback: "#d55e00",
  pad: "#e69f00",
  memory: "#56b4e9",
  ok: "#8a8f98",
  free: "#009e73",
  tail: "#d55e00",
  "sub-wave": "#009e73",
};

export function mark(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const svgSpace = "http://www.w3.org/2000/svg";

function swatch(entry) {
  const svg = document.createElementNS(svgSpace, "svg");
  const shape = document.createElementNS(svgSpace, entry.line ? "line" : "rect");
  const put = (node, values) => Object.entries(values).forEach(([k, v]) => node.setAttribute(k, v));
  put(svg, {width: 18, height: 11, "aria-hidden": "true"});
  if (entry.line) put(shape, {x1: 0, x2: 18, y1: 6, y2: 6, stroke: entry.colour, "stroke-width": 2.5});
  else put(shape, {x: 1, y: 1, width: 16, height: 9, fill: entry.colour, "fill-opacity": entry.dashed ? 0.55 : 1, stroke: entry.colour});
  if (entry.dashed) shape.setAttribute("stroke-dasharray", "4 2");
  svg.append(shape);
  return svg;
}

// Entries: {label, colour, line, dashed}.
export function legend(entries) {
  return mark("ul", {class: "legend"}, ...entries.map((entry) => mark("li", {}, swatch(entry), entry.label)));
}

// What a drawer returns: the question that the chart answers, a remark, a legend, the chart.
export function figure(title, remark, entries, chart) {
  const parts = [mark("figcaption", {}, title)];
  if (remark) parts.push(mark("p", {class: "remark-small"}, remark));
  if (entries && entries.length) parts.push(legend(entries));
  if (chart) {
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", title);
    parts.push(mark("div", {class: "chart"}, chart));
  }
  return parts;
}

// Names stand left of a chart: as wide as they are, but in at most two fifths of a narrow one.
const kLetter = 6.3; // pixels
export const lettersOf = (width) => Math.floor(Math.min(34, (0.4 * width) / kLetter));
export const marginOf = (width, names) => Math.round(24 + kLetter * Math.min(lettersOf(width), Math.max(4, ...names.map((name) => String(name).length))));

// Long names lose their middle; characters that change the direction of writing are taken out.
export function short(name, most = 34) {
  const plain = String(name).replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, " ");
  if (plain.length <= most) return plain;
  const head = Math.ceil((most - 1) / 2);
  return `${plain.slice(0, head)}\u2026${plain.slice(plain.length - (most - 1 - head))}`;
}

export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "?";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e7)) return value.toExponential(digits - 1);
  return String(Number(value.toPrecision(Math.max(digits, Math.abs(value) >= 1000 ? 5 : digits))));
}

export const us = (value) => `${number(value, 4)} us`;
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

// A click takes what the pointer's text tells of.
export function selects(chart, selection) {
  chart.addEventListener("click", () => {
    if (chart.value && chart.value.layer !== undefined) selection.set(chart.value.layer);
  });
  return chart;
}
