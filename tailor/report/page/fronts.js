// What else could have been had: loss against latency.
import * as Plot from "@observablehq/plot";
import {colours, figure, number, percent, selects, short} from "./marks.js";

export function drawFront({documents, width}) {
  const {rounds} = documents[0];
  if (!rounds.length) return null;
  const last = rounds[rounds.length - 1];
  // Savings of layers are added to a measured whole: at its far end the front may promise less than nothing.
  const front = (last.front || []).map(([ratio, loss]) => ({ratio, loss})).filter((p) => p.ratio > 0);
  const tried = rounds.map((r, i) => ({ratio: r.measured, predicted: r.predicted, loss: r.table_loss, round: i + 1}));
  const chosen = tried[tried.length - 1];
  const title = (p) => `${p.round ? `round ${p.round}: ` : "promised by the table: "}${percent(p.ratio)} of the latency\nloss ${number(p.loss)}`;
  const chart = Plot.plot({
    width,
    height: 320,
    marginLeft: 70,
    r: {type: "identity"},
    x: {label: "share of the original's latency", tickFormat: "%", grid: true, nice: true},
    y: {label: "loss expected", zero: true, grid: true, tickFormat: (v) => number(v)},
    marks: [
      Plot.ruleX([last.goal], {stroke: colours.idle, strokeWidth: 2}),
      Plot.text([last], {x: "goal", text: () => "goal", frameAnchor: "top", dx: 4, textAnchor: "start", fill: colours.idle}),
      Plot.line(front, {x: "ratio", y: "loss", curve: "step-after", stroke: colours.fresh, strokeDasharray: "5 3"}),
      Plot.link(tried, {x1: "predicted", x2: "ratio", y1: "loss", y2: "loss", stroke: "currentColor", strokeOpacity: 0.5}),
      Plot.dot([...front, ...tried], {x: "ratio", y: "loss", r: (p) => (p.round ? 4.5 : 2), fill: (p) => (p.round ? "currentColor" : colours.fresh), title, tip: true}),
      Plot.dot([chosen], {x: "ratio", y: "loss", r: 9, stroke: colours.chosen, strokeWidth: 2.5}),
    ],
  });
  return figure(
    "What else could have been had?",
    "The loss of a round counts from the network that the round began with. A line leads from what the table promised to what was found.",
    [
      ...(front.length ? [{label: "front of the last round, promised", colour: colours.fresh, line: true, dashed: true}] : []),
      {label: "rounds, as found", colour: "currentColor"},
      {label: "chosen", colour: colours.chosen, line: true},
      {label: "goal", colour: colours.idle, line: true},
    ],
    chart
  );
}

// Half the width of the interval that holds 95 % of what so many samples would say of a share.
const doubt = (share, n) => (n > 0 ? 1.96 * Math.sqrt((share * (1 - share)) / n) : 0);

// What a result kept: points of accuracy where it is known.
function kept(document) {
  const [s] = document.proof.samples;
  if (s && s.labelled) return {points: 100 * (s.labelled.top1_b - s.labelled.top1_a), bar: 100 * doubt(s.labelled.top1_b, s.labelled.n)};
  if (s && s.top1) return {points: 100 * (s.top1.agreement - 1), bar: 100 * doubt(s.top1.agreement, s.top1.n)};
  return null;
}

export function drawOutcomes({documents, names, selection, width}) {
  const results = documents.map((d, layer) => ({layer, name: names[layer], goal: d.plan.goal, rule: d.plan.rule, loss: d.plan.loss, ...d.proof.speed.models[1].to_first, kept: kept(d)}));
  if (!results.length) return null;
  const points = results.every((r) => r.kept);
  const dots = results.map((r) => ({...r, y: points ? r.kept.points : r.loss, bar: points ? r.kept.bar : 0}));
  const title = (r) => `${short(r.name, 60)}\n${short(r.goal, 80)}, rule ${r.rule}\n${percent(r.ratio)} of the time [${percent(r.lo)}, ${percent(r.hi)}]\n${points ? `${number(r.y)} points, +- ${number(r.bar, 2)}` : `loss ${number(r.loss)}`}`;
  const rules = [...new Set(dots.map((r) => r.rule))];
  const palette = [colours.fresh, colours.chosen, colours.free, colours.padding, colours.launch, colours.old];
  const colour = (r) => palette[Math.min(rules.indexOf(r.rule), palette.length - 1)];
  const linked = documents.length > 2; // of two, channel groups are what is selected
  const chosen = dots.filter((r) => linked && r.layer === selection.get());
  const chart = Plot.plot({
    width,
    height: 340,
    marginLeft: 70,
    marginRight: 90,
    x: {label: "share of the original's latency", tickFormat: "%", grid: true, nice: true},
    y: {label: points ? "points of accuracy against the original" : "loss", grid: true, nice: true, zero: !points},
    marks: [
      points ? Plot.ruleY([0], {stroke: "currentColor", strokeOpacity: 0.5}) : null,
      Plot.ruleY(dots, {y: "y", x1: "lo", x2: "hi", stroke: colour}),
      Plot.ruleX(dots, {x: "ratio", y1: (r) => r.y - r.bar, y2: (r) => r.y + r.bar, stroke: colour}),
      Plot.dot(dots, {x: "ratio", y: "y", r: 4.5, fill: colour, title, tip: true}),
      Plot.text(dots, {x: "ratio", y: "y", text: (r) => short(r.name.split("/").pop(), 14), dx: 8, dy: -8, textAnchor: "start", fill: "currentColor", stroke: "var(--ground)", strokeWidth: 4}),
      Plot.dot(chosen, {x: "ratio", y: "y", r: 10, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  return figure("Which way kept most?", "Up and left is better. Bars: 95 % intervals of the time and of the accuracy.", rules.map((rule) => ({label: `rule ${rule}`, colour: colour({rule})})), linked ? selects(chart, selection) : chart);
}

export function drawMappings({documents, width}) {
  const d = documents[0];
  const cost = (m) => (d.objective === "energy" ? m.energy_uj : m.latency_us);
  const unit = d.objective === "energy" ? "uJ" : "us";
  const point = (m, kind) => ({kind, name: m.name, cost: cost(m), loss: m.loss});
  const front = d.front.map((m) => point(m, "front")), baselines = d.baselines.map((m) => point(m, "baseline"));
  const chosen = d.chosen ? [point(d.chosen, "chosen")] : [];
  const title = (p) => `${p.kind}: ${short(p.name, 60)}\n${number(p.cost, 4)} ${unit}\nloss ${number(p.loss)}`;
  const chart = Plot.plot({
    width,
    height: 320,
    marginLeft: 70,
    marginRight: 120,
    x: {label: `${unit}, modelled`, grid: true, nice: true},
    y: {label: "loss", grid: true, zero: true, tickFormat: (v) => number(v)},
    marks: [
      d.budget !== null && d.budget !== undefined ? Plot.ruleX([d.budget], {stroke: colours.idle, strokeWidth: 2}) : null,
      Plot.line(front, {x: "cost", y: "loss", curve: "step-after", stroke: colours.fresh, strokeDasharray: "5 3"}),
      Plot.dot([...front, ...baselines], {
        x: "cost", y: "loss", r: 4, symbol: (p) => (p.kind === "front" ? "circle" : "square"), fill: (p) => (p.kind === "front" ? colours.fresh : "none"),
        stroke: (p) => (p.kind === "front" ? colours.fresh : "currentColor"), title, tip: true,
      }),
      Plot.text(baselines, {x: "cost", y: "loss", text: (p) => short(p.name, 24), dx: 8, textAnchor: "start", fill: "currentColor", stroke: "var(--ground)", strokeWidth: 4}),
      Plot.dot(chosen, {x: "cost", y: "loss", r: 9, stroke: colours.chosen, strokeWidth: 2.5}),
    ],
  });
  return figure(
    "What else could have been had?",
    "No mapping lies below the front.",
    [
      {label: "front", colour: colours.fresh, line: true, dashed: true},
      {label: "simple mappings", colour: "currentColor"},
      {label: "chosen", colour: colours.chosen, line: true},
      ...(d.budget !== null && d.budget !== undefined ? [{label: `budget, ${number(d.budget, 4)} ${unit}`, colour: colours.idle, line: true}] : []),
    ],
    chart
  );
}
