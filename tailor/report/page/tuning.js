// Tuning: how the search of an operator went, what a choice for one share of the device costs at another, and what neighbours cost.
import * as Plot from "@observablehq/plot";
import {colours, figure, mark, number, percent, short, us} from "./marks.js";

// The operator to show: the selected one, else the one that most trials went to.
function subject(tasks, selection) {
  if (selection.get() !== null && tasks[selection.get()]) return selection.get();
  return tasks.reduce((best, task, i) => (task.history.length > tasks[best].history.length ? i : best), 0);
}

function chooser(tasks, index, selection, id) {
  const select = mark("select", {id}, ...tasks.map((t, i) => mark("option", {value: i}, `${short(t.op, 60)} at ${percent(t.share, 0)}`)));
  select.value = String(index);
  select.addEventListener("change", () => selection.set(Number(select.value)));
  return mark("label", {}, "Operator ", select);
}

export function drawConvergence({documents, selection, width}) {
  const tasks = documents[0].tasks.filter((t) => t.history && t.history.length);
  if (!tasks.length) return null;
  const index = subject(documents[0].tasks, selection), task = documents[0].tasks[index];
  const parts = [...figure("Was it worth searching longer?", null, [], null), chooser(documents[0].tasks, index, selection, "convergence-task")];
  const trials = task.history.map((t, i) => ({trial: i + 1, us: t.us, outcome: t.outcome}));
  const good = trials.filter((t) => t.us > 0), failed = trials.filter((t) => !(t.us > 0));
  if (!good.length) return [...parts, mark("p", {class: "remark-small"}, "No trial of this operator has succeeded.")];
  let least = Infinity;
  const best = trials.map((t) => ({trial: t.trial, us: (least = t.us > 0 ? Math.min(least, t.us) : least)})).filter((t) => Number.isFinite(t.us));
  const top = Math.max(...good.map((t) => t.us));
  const lines = [task.library && {us: task.library.us, label: "the runtime's own", colour: colours.old}, task.own && {us: task.own.us, label: "best, alone", colour: colours.chosen}].filter(Boolean);
  const title = (t) => `trial ${t.trial}: ${t.us > 0 ? us(t.us) : t.outcome.replace("_", " ")}`;
  const chart = Plot.plot({
    width,
    height: 320,
    marginLeft: 60,
    x: {label: "trial", nice: true},
    y: {type: "log", label: "us", grid: true},
    marks: [
      Plot.ruleY(lines, {y: "us", stroke: "colour", strokeWidth: 2}),
      Plot.line(best, {x: "trial", y: "us", curve: "step-after", stroke: colours.fresh, strokeWidth: 2}),
      Plot.dot(failed, {x: "trial", y: () => top, symbol: "times", stroke: colours.idle, title, tip: true}),
      Plot.dot(good, {x: "trial", y: "us", r: 2.5, fill: "currentColor", fillOpacity: 0.7, title, tip: true}),
    ],
  });
  const rest = figure(
    `The search for ${short(task.op, 60)} at ${percent(task.share, 0)} of the processor`,
    `${trials.length} trials, ${failed.length} failed. It ended because: ${task.stopped}.`,
    [
      {label: "a trial, measured while others may run", colour: "currentColor"},
      {label: "best so far", colour: colours.fresh, line: true},
      ...lines.map((l) => ({label: `${l.label}, ${us(l.us)}`, colour: l.colour, line: true})),
      ...(failed.length ? [{label: "failed, at the top", colour: colours.idle}] : []),
    ],
    chart
  );
  return [...parts, ...rest.slice(1)];
}

export function drawShares({documents, selection, width}) {
  const {tasks} = documents[0];
  if (!tasks.length) return null;
  const task = tasks[subject(tasks, selection)];
  const same = tasks.filter((t) => t.op === task.op && t.at_shares);
  if (same.length < 2) return null;
  const best = new Map(same.map((t) => [t.share, t.own ? t.own.us : undefined]));
  const cells = same.flatMap((t) => t.at_shares.map((there) => ({
    tuned: percent(t.share, 0), run: percent(there.share, 0), us: there.us, ratio: there.us > 0 && best.get(there.share) > 0 ? there.us / best.get(there.share) : null,
  })));
  const shares = [...best.keys()].sort((a, b) => a - b).map((s) => percent(s, 0));
  const worst = Math.max(1.0001, ...cells.map((c) => c.ratio || 1));
  const chart = Plot.plot({
    width: Math.min(width, 160 + 110 * shares.length),
    height: 70 + 60 * shares.length,
    marginLeft: 80,
    marginBottom: 45,
    x: {type: "band", domain: shares, label: "run at"},
    y: {type: "band", domain: shares, label: "tuned at"},
    marks: [
      Plot.cell(cells, {
        x: "run", y: "tuned", inset: 1, stroke: "currentColor", strokeOpacity: 0.3, fill: colours.idle,
        fillOpacity: (c) => (c.ratio ? 0.6 * Math.max(0, c.ratio - 1) / (worst - 1) : 0),
        title: (c) => `tuned at ${c.tuned}, run at ${c.run}: ${c.us > 0 ? us(c.us) : "not measured"}${c.ratio ? `, ${number(c.ratio, 4)}x of the best there` : ""}`, tip: true,
      }),
      Plot.text(cells, {x: "run", y: "tuned", text: (c) => (c.ratio ? `${number(c.ratio, 4)}x` : "-"), fill: "currentColor"}),
    ],
  });
  return figure("What does a choice for one share cost at another?", `${short(task.op, 60)}: time over that of the kernel that is best at the share where it runs.`, [{label: "darker: slower than the best there", colour: colours.idle}], chart);
}

export function drawInterference({documents, width}) {
  const {cells, kernels, parts} = documents[0];
  const pairs = cells.flatMap((c) => [
    {part: 0, own: c.first, beside: c.second, time: c.first_slowdown},
    {part: 1, own: c.second, beside: c.first, time: c.second_slowdown},
  ]).filter((p) => p.time);
  if (!pairs.length) return null;
  const label = (k) => `${k + 1} ${short(kernels[k].name, 34)}`;
  const domain = kernels.map((_, k) => k);
  const worst = Math.max(1.0001, ...pairs.map((p) => p.time.ratio));
  const where = (p) => `in ${parts[p.part].where}`;
  const size = Math.max(26, Math.min(64, (width - 260) / (2 * kernels.length)));
  const chart = Plot.plot({
    width: Math.min(width, 260 + 2 * size * kernels.length),
    height: 70 + Math.min(size, 40) * kernels.length,
    marginLeft: 230,
    marginTop: 30,
    marginBottom: 40,
    fx: {label: null, domain: parts.map((p) => `in ${p.where}`)},
    x: {type: "band", domain, label: "beside", tickFormat: (k) => String(k + 1)},
    y: {type: "band", domain, label: null, tickFormat: label},
    marks: [
      Plot.cell(pairs, {
        fx: where, x: "beside", y: "own", inset: 1, stroke: "currentColor", strokeOpacity: 0.3, fill: colours.idle,
        fillOpacity: (p) => 0.7 * Math.max(0, p.time.ratio - 1) / (worst - 1),
        title: (p) => `${kernels[p.own].name} ${where(p)}, beside ${kernels[p.beside].name}: ${number(p.time.ratio, 4)}x [${number(p.time.lo, 4)}, ${number(p.time.hi, 4)}], ${p.time.verdict}`, tip: true,
      }),
      ...(size >= 40 ? [Plot.text(pairs, {fx: where, x: "beside", y: "own", text: (p) => number(p.time.ratio, 3), fill: "currentColor"})] : []),
    ],
  });
  return figure("What does a neighbour cost?", "Time of the kernel of the row, beside that of the column in the other part, over its time alone.", [{label: "darker: slower than alone", colour: colours.idle}], chart);
}
