// Numbers of a page against those of its document.
import assert from "node:assert/strict";

// Of --free; without it there is no such table.
const free = ["us when free", (d) => (d.free ? d.free.groups.map((g) => g.free_us) : [])];

// Layers that were fitted together: none, no table.
const together = ["left %", (d) => (d.recover.together || []).map((f) => (f.before > 0 ? (100 * f.after) / f.before : 100))];

// Of --base.
const base = ["now us", (d) => (d.base ? d.base.layers.map((l) => l.after_us) : [])];

// By kind: the title of a column, and what it must hold. NaN: a cell without a number.
const columns = {
  "analysis": [["us", (d) => d.layers.map((l) => l.us)], ["recoverable us", (d) => d.layers.map((l) => l.recoverable_us)], ["GB/s", (d) => d.layers.map((l) => l.gbytes)], base],
  "device-analysis": [["us", (d) => d.layers.map((l) => l.model.us)], free, base],
  "gpu-analysis": [["us", (d) => d.layers.map((l) => l.us)], ["recoverable us", (d) => d.layers.map((l) => l.recoverable_us)], free],
  "bench": [["median", (d) => d.models.map((m) => m.summary_us.median)], ["n", (d) => d.models.map((m) => m.n)]],
  "verify": [["median", (d) => d.speed.models.map((m) => m.summary_us.median)]],
  "optimize": [["after", (d) => d.plan.groups.map((g) => g.after)], ["predicted", (d) => d.rounds.map((r) => r.predicted)], ["after us", (d) => d.devices.map((m) => m.after_us)], together, free],
  "map": [["us", (d) => [d.chosen, ...d.baselines, ...d.front].filter(Boolean).map((m) => m.latency_us)]],
  "map-turns": [
    ["predicted us", (d) => [d.chosen, ...d.baselines, ...d.front].filter(Boolean).map((m) => m.predicted_us)],
    ["measured us", (d) => [d.chosen, ...d.baselines, ...d.front].filter(Boolean).map((m) => m.measured_us ?? NaN)],
    ["f32 us", (d) => d.layers.map((l) => l.ways.find((w) => w.name === "f32").us)],
    ["conversion us", (d) => (d.chosen ? d.chosen.conversions.map((c) => c.us) : [])],
    ["whole us", (d) => d.additivity.map((n) => n.measured_us)],
  ],
  "plan": [["before", (d) => d.groups.map((g) => g.before)], ["after", (d) => d.groups.map((g) => g.after)]],
  "patterns": [["channels", (d) => d.groups.map((g) => g.width)], ["filters", (d) => d.layers.map((l) => l.filters.length)]],
  "tune-interference": [["slowdown", (d) => d.cells.flatMap((c) => [c.first_slowdown, c.second_slowdown]).filter(Boolean).map((s) => s.ratio)]],
  "tune": [["own us", (d) => d.tasks.map((t) => (t.own ? t.own.us : NaN))], ["layers", (d) => d.tasks.map((t) => t.layers)]],
};

// The first column of that title, as exact numbers.
const column = (page, title) =>
  page.evaluate((wanted) => {
    for (const table of document.querySelectorAll("table")) {
      const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === wanted);
      if (at >= 0) return [...table.tBodies[0].rows].map((row) => Number(row.cells[at].dataset.v));
    }
    return [];
  }, title);

// How many numbers were compared.
export async function compareNumbers(page, document) {
  let count = 0;
  for (const [title, of] of columns[document.schema.split("/")[1]]) {
    const wanted = of(document);
    if (wanted.length === 0) continue; // no such table, and another one may have a column of that title
    assert.deepEqual(await column(page, title), wanted, title);
    count += wanted.length;
  }
  return count;
}
