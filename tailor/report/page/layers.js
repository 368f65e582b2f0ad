// All layers at once: where their time goes, and how near they come to what the device can do.
import * as Plot from "@observablehq/plot";
import {colours, figure, lettersOf, marginOf, number, percent, selects, short, us} from "./marks.js";

const kMost = 40; // bars

function shown(count) {
  return count > kMost ? ` The ${kMost} with most to gain, of ${count}; the table has all.` : "";
}

// Bars of stacked parts, one row per layer. parts: {layer, us, all, colour, title}.
function bars({parts, order, names, selection, width, modelled}) {
  const chosen = selection.get();
  const look = modelled ? {fillOpacity: 0.6, stroke: "colour", strokeDasharray: "4 2"} : {};
  const chart = Plot.plot({
    width,
    height: 18 * order.length + 50,
    marginLeft: marginOf(width, order.map((layer) => names[layer])),
    x: {label: modelled ? "us, modelled" : "us, measured in the running network", grid: true},
    y: {type: "band", domain: order, label: null, tickFormat: (layer) => short(names[layer], lettersOf(width))},
    marks: [
      Plot.barX(parts, {x: "us", y: "layer", fill: "colour", title: "title", tip: "y", insetTop: 1, insetBottom: 1, ...look}),
      Plot.ruleX([0]),
      Plot.barX(parts.filter((part) => part.layer === chosen).slice(0, 1), {x1: 0, x2: "all", y: "layer", fill: "none", stroke: "currentColor", strokeWidth: 2}),
    ],
  });
  return selects(chart, selection);
}

// The selected layer is shown even where others have more to gain.
function topLayers(layers, selection, key) {
  const order = layers.map((_, i) => i).sort((a, b) => {
    const [p, q] = [key(layers[a]), key(layers[b])];
    return q[0] - p[0] || q[1] - p[1];
  });
  const top = order.slice(0, kMost), chosen = selection.get();
  return chosen === null || top.includes(chosen) || !layers[chosen] ? top : [...top, chosen];
}

export function drawRecoverable({documents, selection, width}) {
  const {layers} = documents[0];
  if (!layers.length) return null;
  const order = topLayers(layers, selection, (l) => [l.recoverable_us, l.us]);
  const parts = order.flatMap((i) => {
    const l = layers[i];
    const back = Math.min(l.us, Math.max(0, l.recoverable_us));
    const title = `${short(l.name, 60)}\n${us(l.us)}, ${percent(l.share)} of the network\n${us(l.recoverable_us)} recoverable\n${l.verdict}${l.why ? `: ${short(l.why, 90)}` : ""}`;
    return [
      {layer: i, us: back, all: l.us, colour: colours[l.verdict] === colours.ok ? colours.fresh : colours[l.verdict], title},
      {layer: i, us: l.us - back, all: l.us, colour: colours.plain, title},
    ];
  });
  const present = [...new Set(order.map((i) => layers[i]).filter((l) => l.recoverable_us > 0).map((l) => l.verdict))];
  const entries = present.map((verdict) => ({
    label: verdict === "ok" ? "recoverable, though the layer itself runs well" : `recoverable, judged ${verdict}`,
    colour: colours[verdict] === colours.ok ? colours.fresh : colours[verdict],
  }));
  return figure(
    "Where could time come back?",
    `Time of each layer; coloured is what comes back if groups just past an edge go back to it.${shown(layers.length)}`,
    [...entries, {label: "the rest of its time", colour: colours.plain}],
    bars({parts, order, names: layers.map((l) => l.name), selection, width, modelled: false})
  );
}

const kSpent = [
  ["work_us", "work", "work"],
  ["idle_us", "idle", "idle in the last wave"],
  ["padding_us", "padding", "padding of tiles"],
  ["bytes_us", "bytes", "waiting for bytes"],
  ["launch_us", "launch", "launch"],
];

export function drawSpent({documents, selection, width}) {
  const {layers} = documents[0];
  if (!layers.length) return null;
  const order = topLayers(layers, selection, (l) => [l.model.us - l.spent.work_us, l.model.us]);
  const parts = order.flatMap((i) => {
    const l = layers[i];
    return kSpent.map(([key, colour, label]) => ({
      layer: i,
      us: l.spent[key],
      all: l.model.us,
      colour: colours[colour],
      title: `${short(l.name, 60)}\n${label}: ${us(l.spent[key])} of ${us(l.model.us)}\n${l.model.kernel}, ${number(l.model.waves)} waves\n${l.verdict}`,
    }));
  });
  return figure(
    "Where is the time lost?",
    `Time of each layer by what it is spent on, by the wave model.${shown(layers.length)}`,
    kSpent.map(([, colour, label]) => ({label, colour: colours[colour], dashed: true})),
    bars({parts, order, names: layers.map((l) => l.name), selection, width, modelled: true})
  );
}

// Arithmetic per byte and speed of a layer, in operations per byte and GFLOP/s.
function measuredDot(layer, i) {
  return {layer: i, intensity: layer.gflops / layer.gbytes, gflops: layer.gflops, us: layer.us, verdict: layer.verdict, name: layer.name};
}

function modelledDot(layer, i, device) {
  const bytes = layer.model.memory_us * device.gbytes_per_s * 1e3;
  return {layer: i, intensity: (2 * layer.macs) / bytes, gflops: (2e-3 * layer.macs) / layer.model.us, us: layer.model.us, verdict: layer.verdict, name: layer.name};
}

function roofs(documents, dots) {
  const d = documents[0];
  if (d.device.gbytes_per_s) return {top: 1e3 * d.device.peak_tflops, slope: d.device.gbytes_per_s, label: "peak of the description"};
  return {top: Math.max(...dots.map((dot) => dot.gflops)), slope: d.streaming_gbytes, label: "fastest layer of this network"};
}

export function drawRoofline({documents, selection, width}) {
  const d = documents[0];
  const modelled = d.device.gbytes_per_s !== undefined;
  const dots = d.layers
    .map((l, i) => (modelled ? modelledDot(l, i, d.device) : measuredDot(l, i)))
    .filter((dot) => dot.intensity > 0 && Number.isFinite(dot.intensity) && dot.gflops > 0);
  if (!dots.length) return null;
  const {top, slope, label} = roofs(documents, dots);
  const title = (dot) => `${short(dot.name, 60)}\n${number(dot.gflops)} GFLOP/s at ${number(dot.intensity)} operations per byte\n${us(dot.us)}, ${dot.verdict}`;
  const from = Math.min(...dots.map((dot) => dot.intensity)) / 2;
  const to = Math.max(...dots.map((dot) => dot.intensity), top / Math.max(slope, 1e-9)) * 2;
  const roof = slope > 0 ? [from, top / slope, to].sort((a, b) => a - b).map((x) => ({x, y: Math.min(top, slope * x)})) : [{x: from, y: top}, {x: to, y: top}];
  const verdicts = [...new Set(dots.map((dot) => dot.verdict))];
  const chosen = dots.filter((dot) => dot.layer === selection.get());
  const chart = Plot.plot({
    width,
    height: 330,
    marginLeft: 60,
    x: {type: "log", label: "operations per byte", grid: true, tickFormat: "~g"},
    y: {type: "log", label: "GFLOP/s", grid: true, nice: true},
    r: {range: [2, 12]},
    marks: [
      Plot.line(roof, {x: "x", y: "y", stroke: "currentColor", strokeDasharray: modelled ? "5 3" : null}),
      Plot.dot(dots, {
        x: "intensity", y: "gflops", r: "us", fill: (dot) => colours[dot.verdict] || colours.plain, fillOpacity: modelled ? 0.45 : 0.8,
        stroke: (dot) => colours[dot.verdict] || colours.plain, strokeDasharray: modelled ? "3 2" : null, title, tip: true,
      }),
      Plot.dot(chosen, {x: "intensity", y: "gflops", r: 14, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  return figure(
    "Could width ever matter here?",
    `Layers under the slope wait for memory, those under the flat roof for arithmetic; those far below both have another problem. The flat roof is the ${label}; the slope is ${number(slope)} GB/s. Size: time.`,
    [...verdicts.map((verdict) => ({label: verdict, colour: colours[verdict] || colours.plain, dashed: modelled})), {label: modelled ? "roof of the description" : "roof, measured", colour: "currentColor", line: true, dashed: modelled}],
    selects(chart, selection)
  );
}

const gains = {paid: colours.fresh, partly: colours.bytes, nothing: colours.idle, slower: colours.launch, same: colours.plain};

// What each layer of a network that was made smaller got for it: on the diagonal as much time as arithmetic.
export function drawBase({documents, selection, width}) {
  const {base} = documents[0];
  if (!base || !base.layers.length) return null;
  const dots = base.layers.map((l) => ({...l, given: 1 - l.macs_ratio, got: l.before_us > 0 ? 1 - l.after_us / l.before_us : 0}));
  const title = (l) => `${short(l.name, 60)}\n${us(l.before_us)} -> ${us(l.after_us)}\n${l.why ? short(l.why, 120) : "did not become smaller"}`;
  const most = Math.max(0.02, ...dots.map((l) => l.given));
  const chosen = dots.filter((l) => l.layer === selection.get());
  const modelled = base.how === "modelled";
  const present = Object.keys(gains).filter((gained) => dots.some((l) => l.gained === gained));
  const chart = Plot.plot({
    width,
    height: 330,
    marginLeft: 60,
    r: {range: [3, 12]},
    x: {label: "multiply-accumulates given up", tickFormat: "%", grid: true, nice: true},
    y: {label: "time saved", tickFormat: "%", grid: true, nice: true},
    marks: [
      Plot.ruleY([0], {stroke: "currentColor", strokeOpacity: 0.6}),
      Plot.line([[0, 0], [most, most]], {stroke: "currentColor", strokeOpacity: 0.6, strokeDasharray: "2 3"}),
      Plot.dot(dots, {x: "given", y: "got", r: "before_us", fill: (l) => gains[l.gained], fillOpacity: modelled ? 0.4 : 0.8, stroke: (l) => gains[l.gained], strokeDasharray: modelled ? "3 2" : null, title, tip: true}),
      Plot.dot(chosen, {x: "given", y: "got", r: 14, stroke: "currentColor", strokeWidth: 2.5}),
    ],
  });
  return figure(
    "What did the smaller network get for it?",
    "On the dotted line a layer saves as much time as arithmetic; on the solid one it saves nothing. Size: its time before.",
    present.map((gained) => ({label: gained, colour: gains[gained], dashed: modelled})),
    selects(chart, selection)
  );
}
