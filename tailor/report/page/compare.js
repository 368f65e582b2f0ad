// Old against new: widths, units over time, models against each other, two runs.
import * as Plot from "@observablehq/plot";
import {colours, figure, lettersOf, marginOf, number, percent, selects, short, us} from "./marks.js";

export function drawWidths({documents, selection, width}) {
  const title = (g) => `${short(g.layer_name, 60)}\n${g.before} -> ${g.after} channels (${number(100 * (g.after / g.before - 1), 3)} %)\n${short(g.why, 90)}`;
  const named = (documents[0].plan || documents[0]).groups.map((g, i) => ({...g, layer: i, layer_name: g.layer}));
  if (!named.length) return null;
  const chosen = named.filter((g) => g.layer === selection.get());
  const chart = Plot.plot({
    width,
    height: 17 * named.length + 55,
    marginLeft: marginOf(width, named.map((g) => g.layer_name)),
    x: {label: "channels", grid: true, zero: true},
    y: {type: "band", domain: named.map((g) => g.layer), label: null, tickFormat: (i) => short(named[i].layer_name, lettersOf(width))},
    marks: [
      Plot.link(named, {x1: "before", x2: "after", y1: "layer", y2: "layer", stroke: colours.fresh, strokeWidth: 2}),
      Plot.dot(named, {x: "before", y: "layer", r: 4, stroke: colours.old, strokeWidth: 2, fill: "none"}),
      Plot.dot(named, {x: "after", y: "layer", r: 4.5, fill: colours.fresh, title, tip: "y"}),
      Plot.dot(chosen, {x: "after", y: "layer", r: 9, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  return figure("Which widths changed?", null, [{label: "before", colour: colours.old}, {label: "after", colour: colours.fresh}], selects(chart, selection));
}

const kMostPairs = 40;

// Channels for nothing: the present width, the widest that costs nothing alone, the one that fits beside the others.
export function drawFree({documents, selection, width}) {
  const {free} = documents[0];
  if (!free || !free.groups.length) return null;
  const first = new Map((documents[0].groups || []).map((g) => [g.name, g.layers[0]]));
  const groups = free.groups.map((g, row) => ({...g, row, layer: first.get(g.group)})).sort((a, b) => b.free_to / b.width - a.free_to / a.width || a.row - b.row);
  const top = groups.slice(0, kMostPairs), names = new Map(top.map((g) => [g.row, g.group]));
  const title = (g) => `${short(g.group, 60)}\n${g.width} channels now, up to ${g.free_to} for nothing (${number(100 * (g.free_to / g.width - 1), 3)} % more)\n${g.together} while the others are wider too\n${us(g.us)} -> ${us(g.free_us)}, ${free.how}`;
  const chosen = top.filter((g) => g.layer !== undefined && g.layer === selection.get());
  const dash = free.how === "modelled" ? "4 2" : null;
  const chart = Plot.plot({
    width,
    height: 17 * top.length + 55,
    marginLeft: marginOf(width, top.map((g) => g.group)),
    x: {label: "channels", grid: true, zero: true},
    y: {type: "band", domain: top.map((g) => g.row), label: null, tickFormat: (row) => short(names.get(row), lettersOf(width))},
    marks: [
      Plot.link(top, {x1: "width", x2: "free_to", y1: "row", y2: "row", stroke: colours.free, strokeWidth: 2, strokeDasharray: dash}),
      Plot.dot(top, {x: "width", y: "row", r: 4, stroke: colours.old, strokeWidth: 2, fill: "none"}),
      Plot.dot(top, {x: "together", y: "row", symbol: "diamond2", r: 4, fill: colours.fresh}),
      Plot.dot(top, {x: "free_to", y: "row", r: 4.5, stroke: colours.free, strokeWidth: 2, fill: dash ? "none" : colours.free, title, tip: "y"}),
      Plot.dot(chosen, {x: "free_to", y: "row", r: 9, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  const entries = [{label: "now", colour: colours.old}, {label: `widest for nothing, ${free.how}`, colour: colours.free, dashed: Boolean(dash)}, {label: "while the others are wider too", colour: colours.fresh}];
  return figure("Which widths could grow for nothing?", groups.length > kMostPairs ? `The ${kMostPairs} that could grow most, of ${groups.length}.` : null, entries, selects(chart, selection));
}

// One model on several described devices: what each gains, and what it gives up because the model is for all.
export function drawDevices({documents, width}) {
  const devices = (documents[0].devices || []).map((d, row) => ({...d, row}));
  if (!devices.length) return null;
  const alone = devices.filter((d) => d.regret !== null && d.regret !== undefined).map((d) => ({...d, best: d.ratio / (1 + d.regret)}));
  const title = (d) => `${short(d.title, 60)}\n${us(d.before_us)} -> ${us(d.after_us)}, ${percent(d.ratio)}, modelled${d.regret === null || d.regret === undefined ? "" : `\nwidths for it alone: ${percent(d.ratio / (1 + d.regret))}`}`;
  const chart = Plot.plot({
    width,
    height: 40 * devices.length + 55,
    marginLeft: marginOf(width, devices.map((d) => d.title)),
    x: {label: "share of the original's latency, modelled", tickFormat: "%", zero: true, grid: true},
    y: {type: "band", domain: devices.map((d) => d.row), label: null, tickFormat: (row) => short(devices[row].title, lettersOf(width))},
    marks: [
      Plot.barX(devices, {x: "ratio", y: "row", insetTop: 7, insetBottom: 7, fill: colours.fresh, fillOpacity: 0.6, stroke: colours.fresh, strokeDasharray: "4 2", title, tip: "y"}),
      Plot.tickX(alone, {x: "best", y: "row", stroke: colours.chosen, strokeWidth: 2.5, insetTop: 3, insetBottom: 3}),
      Plot.ruleX([1], {stroke: colours.old, strokeWidth: 2}),
    ],
  });
  const entries = [{label: "this model", colour: colours.fresh, dashed: true}, {label: "the original", colour: colours.old, line: true}, ...(alone.length ? [{label: "widths for this device alone", colour: colours.chosen, line: true}] : [])];
  return figure("What does each device gain?", null, entries, chart);
}

const kMostBars = 2000;

export function drawGantt({documents, selection, width}) {
  const d = documents[0];
  const bars = [];
  let begin = 0;
  d.layers.forEach((layer, i) => {
    const cycles = layer.cycles || [];
    cycles.forEach((c, u) => {
      if (c > 0) bars.push({layer: i, name: layer.name, unit: d.units[u], from: begin / d.frequency_mhz, to: (begin + c) / d.frequency_mhz, cycles: c});
    });
    begin += Math.max(0, ...cycles);
  });
  if (!bars.length) return null;
  const title = (b) => `${short(b.name, 60)} on ${b.unit}\n${number(b.from, 4)} to ${us(b.to)}, ${number(b.cycles, 5)} cycles`;
  const chart = Plot.plot({
    width,
    height: 46 * d.units.length + 55,
    marginLeft: marginOf(width, d.units),
    x: {label: "us, modelled", grid: true},
    y: {type: "band", domain: d.units, label: null, tickFormat: (unit) => short(unit, lettersOf(width))},
    marks: [
      Plot.barX(bars.slice(0, kMostBars), {
        x1: "from", x2: "to", y: "unit", fill: (b) => (b.layer === selection.get() ? colours.chosen : b.layer % 2 ? colours.fresh : colours.bytes), fillOpacity: 0.65,
        stroke: colours.fresh, strokeDasharray: "4 2", title, tip: {maxRadius: 1000},
      }),
      Plot.ruleX([0]),
    ],
  });
  const rest = bars.length > kMostBars ? ` The first ${kMostBars} of ${bars.length} parts are drawn.` : "";
  return figure("Which unit waits?", `Layers one after the other, parts of a layer side by side.${rest}`, [{label: "part of a layer, modelled; neighbours differ in shade", colour: colours.fresh, dashed: true}, {label: "selected", colour: colours.chosen}], selects(chart, selection));
}

export function drawSpeed({documents, width}) {
  const d = documents[0];
  const speed = d.models ? d : d.speed || d.proof.speed;
  const models = speed.models.map((m, layer) => ({...m.summary_us, ...m.to_first, n: m.n, layer, name: m.path}));
  if (!models.length || !models.every((m) => m.median > 0)) return null;
  const title = (m) => `${short(m.name, 60)}\nmedian ${us(m.median)}, quartiles ${number(m.q1, 4)} to ${number(m.q3, 4)}, n = ${m.n}${m.layer ? `\n${number(m.ratio, 4)}x [${number(m.lo, 4)}, ${number(m.hi, 4)}] of the first: ${m.verdict}` : ""}`;
  const far = Math.max(...models.map((m) => m.q3 + 4 * (m.q3 - m.q1)));
  const chart = Plot.plot({
    width,
    height: 48 * models.length + 55,
    marginLeft: marginOf(width, models.map((m) => m.name)),
    x: {label: "us per run", zero: true, grid: true},
    y: {type: "band", domain: models.map((m) => m.layer), label: null, tickFormat: (i) => short(models[i].name, lettersOf(width))},
    marks: [
      Plot.link(models, {x1: "min", x2: (m) => Math.min(m.max, far), y1: "layer", y2: "layer", stroke: "currentColor", strokeOpacity: 0.6}),
      Plot.barX(models, {x1: "q1", x2: "q3", y: "layer", insetTop: 9, insetBottom: 9, fill: (m) => (m.layer ? colours.fresh : colours.old), title, tip: "y"}),
      Plot.tickX(models, {x: "median", y: "layer", stroke: "currentColor", strokeWidth: 2.5, insetTop: 5, insetBottom: 5}),
    ],
  });
  const ratios = models.slice(1).map((m) => `${short(m.name, 40)}: ${percent(m.ratio)} of the first's time [${percent(m.lo)}, ${percent(m.hi)}], ${m.verdict}.`).join(" ");
  return figure("Which is faster?", `Box: quartiles; tick: median; line: least to most, cut four boxes behind the upper quartile. ${ratios}`, [{label: "reference", colour: colours.old}, {label: "compared", colour: colours.fresh}], chart);
}

// The table below it holds what is drawn.
export function drawDifference({selection, width}) {
  const rows = [...document.querySelectorAll("tr[data-layer]")].map((row) => ({
    layer: Number(row.dataset.layer), name: row.cells[0].textContent, before: Number(row.cells[1].dataset.v), after: Number(row.cells[2].dataset.v),
  }));
  const pairs = rows.filter((r) => Number.isFinite(r.before) && Number.isFinite(r.after));
  if (!pairs.length) return null;
  pairs.sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || a.layer - b.layer);
  const top = pairs.slice(0, kMostPairs);
  const names = new Map(top.map((p) => [p.layer, p.name]));
  const title = (p) => `${short(p.name, 60)}\n${number(p.before, 4)} -> ${number(p.after, 4)}${p.before > 0 ? ` (${number(100 * (p.after / p.before - 1), 3)} %)` : ""}`;
  const chosen = top.filter((p) => p.layer === selection.get());
  const chart = Plot.plot({
    width,
    height: 17 * top.length + 55,
    marginLeft: marginOf(width, top.map((p) => p.name)),
    x: {label: "first run, second run", grid: true, zero: true},
    y: {type: "band", domain: top.map((p) => p.layer), label: null, tickFormat: (i) => short(names.get(i), lettersOf(width))},
    marks: [
      Plot.link(top, {x1: "before", x2: "after", y1: "layer", y2: "layer", stroke: (p) => (p.after > p.before ? colours.idle : colours.fresh), strokeWidth: 2}),
      Plot.dot(top, {x: "before", y: "layer", r: 3.5, stroke: colours.old, strokeWidth: 2, fill: "none"}),
      Plot.dot(top, {x: "after", y: "layer", r: 4.5, fill: (p) => (p.after > p.before ? colours.idle : colours.fresh), title, tip: "y"}),
      Plot.dot(chosen, {x: "after", y: "layer", r: 9, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  return figure("What changed?", pairs.length > kMostPairs ? `The ${kMostPairs} largest differences of ${pairs.length}.` : null, [{label: "first run", colour: colours.old}, {label: "second run, less", colour: colours.fresh}, {label: "second run, more", colour: colours.idle}], selects(chart, selection));
}
