// The selected layer: its staircase, and on a described GPU its waves.
import * as Plot from "@observablehq/plot";
import {colours, figure, mark, number, short, us} from "./marks.js";

// Groups by name, made once per document: networks of thousands of layers have as many groups.
const known = new WeakMap();

function groupsOf(document) {
  if (known.has(document)) return known.get(document);
  const lists = new Map();
  for (const group of document.groups) lists.set(group.name, [...(lists.get(group.name) || []), group]);
  known.set(document, lists);
  return lists;
}

function groupOf(document, index) {
  const layer = document.layers[index];
  const name = layer.out_group !== undefined ? layer.out_group : layer.group;
  const groups = name ? groupsOf(document).get(name) : undefined;
  return groups ? groups.find((g) => g.layers.includes(index)) || groups[0] : null;
}

// The layer to show: the selected one, else the one with most to gain that has a staircase.
function subject(document, selection) {
  if (selection.get() !== null && document.layers[selection.get()]) return selection.get();
  let best = -1;
  document.layers.forEach((layer, i) => {
    if ((best < 0 || layer.recoverable_us > document.layers[best].recoverable_us) && groupOf(document, i)) best = i;
  });
  return Math.max(best, 0);
}

function chooser(document, index, selection, id) {
  const select = mark("select", {id}, ...document.layers.map((l, i) => mark("option", {value: i}, short(l.name, 70))));
  select.value = String(index);
  select.addEventListener("change", () => selection.set(Number(select.value)));
  return mark("label", {}, "Layer ", select);
}

function marksOf(group) {
  const at = (step, label, colour) => (step ? [{width: step.width, us: group.us[group.widths.indexOf(step.width)], label, colour}] : []);
  return [
    {width: group.width, us: group.us[group.widths.indexOf(group.width)], label: "now", colour: colours.old},
    ...at(group.edge || group.down, group.edge ? "edge" : "narrower", colours.fresh),
    ...at(group.up, "free up to here", colours.free),
  ].filter((d) => d.us !== undefined);
}

function sweepChart(group, width, modelled) {
  const points = group.widths.map((w, i) => ({width: w, us: group.us[i], lo: group.lo ? group.lo[i] : undefined, hi: group.hi ? group.hi[i] : undefined}));
  const now = points.find((p) => p.width === group.width);
  const title = (p) => `${p.width} channels: ${us(p.us)}${p.lo !== undefined ? ` [${number(p.lo, 4)}, ${number(p.hi, 4)}]` : ""}${now ? `\n${number(100 * (p.us / now.us - 1), 3)} % against now` : ""}`;
  const special = marksOf(group);
  return Plot.plot({
    width,
    height: 322,
    marginTop: 52,
    marginLeft: 60,
    marginRight: 44,
    x: {label: "channels of the group", nice: true},
    y: {label: modelled ? "us of all its layers, modelled" : "us of all its layers", zero: true, grid: true},
    marks: [
      Plot.ruleX(special, {x: "width", stroke: "colour", strokeDasharray: "2 3"}),
      Plot.line(points, {x: "width", y: "us", curve: "step-before", stroke: colours.plain, strokeOpacity: 0.6, strokeDasharray: modelled ? "5 3" : null}),
      Plot.ruleX(points.filter((p) => p.lo !== undefined && p.hi > p.lo), {x: "width", y1: "lo", y2: "hi", stroke: "currentColor", strokeWidth: 2}),
      Plot.dot(points, {x: "width", y: "us", r: 3.5, fill: modelled ? "none" : "currentColor", stroke: "currentColor", title, tip: "x"}),
      Plot.dot(special, {x: "width", y: "us", r: 6, stroke: "colour", strokeWidth: 2.5}),
      // Each on a line of its own: neighbouring widths would write over each other.
      ...special.map((d, i) => Plot.text([d], {x: "width", text: "label", frameAnchor: "top", dy: 12 * i - 40, fill: "currentColor"})),
    ],
  });
}

// Where the command asked for the staircase of one layer, all its widths were looked at.
function pictureChart(document, layer, width) {
  const picture = document.staircase || document.picture;
  if (!picture || picture.layer !== layer.name) return null;
  const modelled = !document.staircase;
  const xs = picture.widths || picture.values;
  const points = xs.map((x, i) => ({x, us: picture.us[i]}));
  return Plot.plot({
    width,
    height: 260,
    marginLeft: 60,
    x: {label: picture.over ? `${picture.over} of the layer alone` : "output channels of the layer alone"},
    y: {label: modelled ? "us, modelled" : "us", zero: true, grid: true},
    marks: [
      Plot.ruleX(picture.edges, {x: (e) => (e.last + e.next) / 2, stroke: colours.idle, strokeDasharray: "2 3"}),
      Plot.line(points, {x: "x", y: "us", curve: "step-before", stroke: colours.plain, strokeDasharray: modelled ? "5 3" : null}),
      Plot.dot(points, {x: "x", y: "us", r: 2.5, fill: "currentColor", title: (p) => `${p.x}: ${us(p.us)}`, tip: "x"}),
    ],
  });
}

export function drawStairs({documents, selection, width}) {
  const document = documents[0];
  if (!document.layers.length) return null;
  const modelled = document.how === "modelled";
  const index = subject(document, selection);
  const layer = document.layers[index], group = groupOf(document, index);
  const parts = [
    ...figure("Which width, and what would its neighbours cost?", null, [], null),
    chooser(document, index, selection, "stairs-layer"),
  ];
  if (!group) return [...parts, mark("p", {class: "remark-small"}, "The width of this layer's output cannot change, so it has no staircase.")];
  const shared = group.layers && group.layers.length > 1 ? ` Its group ${short(group.name, 60)} is shared by ${group.layers.length} layers; all of them are in the time.` : "";
  const rest = figure(
    `Staircase of ${short(layer.name, 60)}`,
    `Dots are ${modelled ? "modelled" : "measured"}; between them the line only guides the eye.${shared}`,
    [
      {label: modelled ? "modelled" : "measured, with quartiles", colour: "currentColor", line: true, dashed: modelled},
      {label: "present width", colour: colours.old},
      ...(group.edge || group.down ? [{label: group.edge ? "last width before the edge" : "narrower width that saves time", colour: colours.fresh}] : []),
      ...(group.up ? [{label: "widest width that costs the same", colour: colours.free}] : []),
    ],
    sweepChart(group, width, modelled)
  );
  const picture = pictureChart(document, layer, width);
  const all = picture ? figure("The layer alone, as it was asked for", null, [], picture) : [];
  return [...parts, ...rest.slice(1), ...all];
}

const kMostWaves = 6;

export function drawWaves({documents, selection, width}) {
  const document = documents[0];
  const sms = document.device && document.device.multiprocessors;
  if (!sms || !document.layers.length) return null;
  const index = subject(document, selection);
  const layer = document.layers[index], blocks = layer.model.blocks;
  const waves = Math.max(1, Math.ceil(blocks / sms)), first = Math.max(0, waves - kMostWaves);
  const cells = [];
  for (let wave = first; wave < waves; ++wave)
    for (let sm = 0; sm < sms; ++sm) cells.push({wave: wave + 1, sm, works: wave * sms + sm < blocks});
  const chart = Plot.plot({
    width,
    height: 30 * (waves - first) + 60,
    marginLeft: 60,
    padding: 0,
    x: {label: "multiprocessor", type: "band", tickFormat: (sm) => (sm % 10 === 0 ? String(sm) : "")},
    y: {label: "wave", type: "band"},
    marks: [
      Plot.cell(cells, {
        x: "sm", y: "wave", inset: 0.5, fill: (c) => (c.works ? colours.fresh : "none"), stroke: (c) => (c.works ? colours.fresh : colours.idle),
        strokeDasharray: "2 2", fillOpacity: 0.7, title: (c) => `wave ${c.wave}, multiprocessor ${c.sm}: ${c.works ? "a block" : "idle"}`, tip: true,
      }),
    ],
  });
  const idle = waves * sms - blocks;
  const shares = layer.model.kernel.includes("stream-K") ? " This kernel shares the last waves' reductions out, so their idle places cost little." : "";
  return figure(
    `The waves of ${short(layer.name, 60)}`,
    `${blocks} blocks of ${layer.model.kernel} on ${sms} multiprocessors: ${number(layer.model.waves)} waves, ${waves} paid, ${idle} places idle.${first ? ` The last ${kMostWaves} waves are drawn.` : ""}${shares}`,
    [
      {label: "a block, modelled", colour: colours.fresh, dashed: true},
      {label: "idle", colour: colours.idle, dashed: true, line: true},
    ],
    chart
  );
}
