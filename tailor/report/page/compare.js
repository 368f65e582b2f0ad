// Old against new: widths, units over time, models against each other, two runs.
import * as Plot from "@observablehq/plot";
import {colours, figure, number, percent, selects, short, us} from "./marks.js";

export function drawWidths({documents, selection, width}) {
  const title = (g) => `${short(g.layer_name, 60)}\n${g.before} -> ${g.after} channels (${number(100 * (g.after / g.before - 1), 3)} %)\n${short(g.why, 90)}`;
  const named = (documents[0].plan || documents[0]).groups.map((g, i) => ({...g, layer: i, layer_name: g.layer}));
  if (!named.length) return null;
  const chosen = named.filter((g) => g.layer === selection.get());
  const chart = Plot.plot({
    width,
    height: 17 * named.length + 55,
    marginLeft: 240,
    x: {label: "channels", grid: true, zero: true},
    y: {type: "band", domain: named.map((g) => g.layer), label: null, tickFormat: (i) => short(named[i].layer_name)},
    marks: [
      Plot.link(named, {x1: "before", x2: "after", y1: "layer", y2: "layer", stroke: colours.fresh, strokeWidth: 2}),
      Plot.dot(named, {x: "before", y: "layer", r: 4, stroke: colours.old, strokeWidth: 2, fill: "none"}),
      Plot.dot(named, {x: "after", y: "layer", r: 4.5, fill: colours.fresh, title, tip: "y"}),
      Plot.dot(chosen, {x: "after", y: "layer", r: 9, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  return figure("Which widths changed?", null, [{label: "before", colour: colours.old}, {label: "after", colour: colours.fresh}], selects(chart, selection));
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
    marginLeft: 110,
    x: {label: "us, modelled", grid: true},
    y: {type: "band", domain: d.units, label: null},
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
    marginLeft: 240,
    x: {label: "us per run", zero: true, grid: true},
    y: {type: "band", domain: models.map((m) => m.layer), label: null, tickFormat: (i) => short(models[i].name)},
    marks: [
      Plot.link(models, {x1: "min", x2: (m) => Math.min(m.max, far), y1: "layer", y2: "layer", stroke: "currentColor", strokeOpacity: 0.6}),
      Plot.barX(models, {x1: "q1", x2: "q3", y: "layer", insetTop: 9, insetBottom: 9, fill: (m) => (m.layer ? colours.fresh : colours.old), title, tip: "y"}),
      Plot.tickX(models, {x: "median", y: "layer", stroke: "currentColor", strokeWidth: 2.5, insetTop: 5, insetBottom: 5}),
    ],
  });
  const ratios = models.slice(1).map((m) => `${short(m.name, 40)}: ${percent(m.ratio)} of the first's time [${percent(m.lo)}, ${percent(m.hi)}], ${m.verdict}.`).join(" ");
  return figure("Which is faster?", `Box: quartiles; tick: median; line: least to most, cut four boxes behind the upper quartile. ${ratios}`, [{label: "reference", colour: colours.old}, {label: "compared", colour: colours.fresh}], chart);
}

const kMostPairs = 40;

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
    marginLeft: 240,
    x: {label: "first run, second run", grid: true, zero: true},
    y: {type: "band", domain: top.map((p) => p.layer), label: null, tickFormat: (i) => short(names.get(i))},
    marks: [
      Plot.link(top, {x1: "before", x2: "after", y1: "layer", y2: "layer", stroke: (p) => (p.after > p.before ? colours.idle : colours.fresh), strokeWidth: 2}),
      Plot.dot(top, {x: "before", y: "layer", r: 3.5, stroke: colours.old, strokeWidth: 2, fill: "none"}),
      Plot.dot(top, {x: "after", y: "layer", r: 4.5, fill: (p) => (p.after > p.before ? colours.idle : colours.fresh), title, tip: "y"}),
      Plot.dot(chosen, {x: "after", y: "layer", r: 9, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  return figure("What changed?", pairs.length > kMostPairs ? `The ${kMostPairs} largest differences of ${pairs.length}.` : null, [{label: "first run", colour: colours.old}, {label: "second run, less", colour: colours.fresh}, {label: "second run, more", colour: colours.idle}], selects(chart, selection));
}
