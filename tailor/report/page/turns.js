// A precision for each layer, on a processor whose precisions take turns. All of it was measured.
import * as Plot from "@observablehq/plot";
import {colours, figure, lettersOf, marginOf, number, selects, short, us} from "./marks.js";

const kMostLayers = 100;
const palette = [colours.old, colours.free, colours.fresh, colours.launch, colours.padding, colours.bytes];
const symbols = ["circle", "triangle", "square", "diamond2", "star", "wye"];

export function drawTurns({documents, selection, width}) {
  const {layers, chosen} = documents[0];
  if (!layers.length) return null;
  const names = [...new Set(layers.flatMap((l) => l.ways.map((w) => w.name)))];
  const kind = (way) => Math.min(names.indexOf(way.name), palette.length - 1);
  const all = layers.map((l, layer) => ({...l, layer, taken: chosen ? chosen.ways[layer] : null, least: Math.min(...l.ways.map((w) => w.us)), most: Math.max(...l.ways.map((w) => w.us))}));
  const longest = new Set([...all].sort((a, b) => b.most - a.most || a.layer - b.layer).slice(0, kMostLayers).map((l) => l.layer));
  const rows = all.filter((l) => longest.has(l.layer));
  const dots = rows.flatMap((l) => l.ways.map((w) => ({...w, layer: l.layer, layer_name: l.name, taken: w.name === l.taken})));
  const title = (w) => `${short(w.layer_name, 60)}\n${w.name}: ${us(w.us)}\nloss of this layer alone ${number(w.loss)}${w.taken ? "\nchosen" : ""}`;
  const picked = rows.filter((l) => l.layer === selection.get());
  const chart = Plot.plot({
    width,
    height: 17 * rows.length + 55,
    marginLeft: marginOf(width, rows.map((l) => l.name)),
    x: {label: "us in a network", grid: true, zero: true},
    y: {type: "band", domain: rows.map((l) => l.layer), label: null, tickFormat: (i) => short(layers[i].name, lettersOf(width))},
    marks: [
      Plot.barX(picked, {x1: 0, x2: "most", y: "layer", fill: "currentColor", fillOpacity: 0.12}),
      Plot.link(rows, {x1: "least", x2: "most", y1: "layer", y2: "layer", stroke: "currentColor", strokeOpacity: 0.3}),
      Plot.dot(dots.filter((w) => w.taken), {x: "us", y: "layer", r: 8, stroke: colours.chosen, strokeWidth: 2}),
      Plot.dot(dots, {x: "us", y: "layer", r: 4, symbol: (w) => symbols[kind(w)], fill: (w) => palette[kind(w)], title, tip: true}),
    ],
  });
  const entries = names.map((name) => ({label: name, colour: palette[kind({name})]}));
  if (chosen) entries.push({label: "chosen", colour: colours.chosen, line: true});
  const remark = all.length > rows.length ? `The ${rows.length} longest of ${all.length} layers.` : null;
  return figure("Which precision suits which layer?", remark, entries, selects(chart, selection));
}

export function drawTurnFront({documents, width}) {
  const d = documents[0];
  const point = (m, kind) => ({kind, name: m.name, predicted: m.predicted_us, us: m.measured_us ?? m.predicted_us, measured: m.measured_us !== undefined, loss: m.loss});
  const front = d.front.map((m) => point(m, "front")), baselines = d.baselines.map((m) => point(m, "all layers alike"));
  const chosen = d.chosen ? [point(d.chosen, "chosen")] : [];
  const whole = [...baselines, ...chosen].filter((p) => p.measured);
  if (!front.length && !baselines.length) return null;
  const times = [...front, ...whole].map((p) => p.us).filter((t) => t > 0);
  // A precision that the processor only imitates would push all others into a corner.
  const far = Math.max(...times) > 4 * Math.min(...times);
  const title = (p) => `${p.kind}: ${short(p.name, 60)}\n${p.measured ? `measured ${us(p.us)}, ` : ""}predicted ${us(p.predicted)}\nloss ${number(p.loss)}`;
  const chart = Plot.plot({
    width,
    height: 320,
    marginLeft: 70,
    marginRight: 120,
    x: {type: far ? "log" : "linear", label: far ? "us (logarithmic)" : "us", grid: true, nice: !far, tickFormat: (t) => number(t)},
    y: {label: "loss", grid: true, zero: true, tickFormat: (v) => number(v)},
    marks: [
      d.budget_us !== null ? Plot.ruleX([d.budget_us], {stroke: colours.idle, strokeWidth: 2}) : null,
      Plot.line(front, {x: "predicted", y: "loss", curve: "step-after", stroke: colours.fresh, strokeDasharray: "5 3"}),
      Plot.link(whole, {x1: "predicted", x2: "us", y1: "loss", y2: "loss", stroke: "currentColor", strokeOpacity: 0.5}),
      Plot.dot([...front.map((p) => ({...p, us: p.predicted})), ...whole], {
        x: "us", y: "loss", r: 4, symbol: (p) => (p.kind === "front" ? "circle" : "square"), fill: (p) => (p.kind === "front" ? colours.fresh : "currentColor"), title, tip: true,
      }),
      Plot.text(baselines, {x: "us", y: "loss", text: (p) => short(p.name, 24), dx: 8, dy: -8, textAnchor: "start", fill: "currentColor", stroke: "var(--ground)", strokeWidth: 4}),
      Plot.dot(chosen, {x: "us", y: "loss", r: 9, stroke: colours.chosen, strokeWidth: 2.5}),
    ],
  });
  return figure(
    "What else could have been had?",
    "No choice lies below the front, by the times of its parts. A line leads from what the parts promised to what the whole network took.",
    [
      ...(front.length ? [{label: "front, predicted", colour: colours.fresh, line: true, dashed: true}] : []),
      {label: "whole networks, measured", colour: "currentColor"},
      ...(chosen.length ? [{label: "chosen", colour: colours.chosen, line: true}] : []),
      ...(d.budget_us !== null ? [{label: `budget, ${us(d.budget_us)}`, colour: colours.idle, line: true}] : []),
    ],
    chart
  );
}
