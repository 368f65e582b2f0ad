// node browser_test.mjs SAMPLE_PAGES PACKAGES FOLDER: writes the pages and looks at each in a browser without a window.
// Prints "SKIPPED: why" where playwright-core or a browser is missing. Screenshots stay in FOLDER.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {readFileSync, statSync} from "node:fs";
import {join, resolve} from "node:path";
import {pathToFileURL} from "node:url";
import {launch, runAll, skip} from "./browser.mjs";
import {compareNumbers} from "./numbers.mjs";

const [samplePages, packages, folder] = process.argv.slice(2).map((path) => resolve(path));

const browser = await launch(packages);
if (execFileSync(samplePages, [folder], {encoding: "utf8"}).trim() !== "charts") skip("this build has no charts (scripts/get-charts)");

const charts = {
  analysis: 4, device: 6, gpu: 3, "gpu-hostile": 3, bench: 1, verify: 1, optimize: 3, devices: 4, map: 2, turns: 2, "turns-missed": 2, plan: 1, tune: 2, difference: 1, plans: 1,
  gpus: 1, described: 1, outcomes: 1, interference: 1, patterns: 0, kept: 0, hostile: 4, large: 3,
};
const comparisons = ["difference", "plans", "gpus", "described", "outcomes", "kept"];
const pages = Object.keys(charts);
const shown = pages.filter((name) => !["large", "hostile", "gpu-hostile"].includes(name));

// A page that was loaded without a network; what it asked for and what it complained about.
async function open(name, options = {}) {
  const context = await browser.newContext({offline: true, viewport: {width: 1200, height: 900}, ...options});
  const page = await context.newPage();
  const requests = [], complaints = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  const url = pathToFileURL(join(folder, `${name}.html`)).href;
  await page.goto(url);
  return {page, requests, complaints, url, close: () => context.close()};
}

const document_ = (name) => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
const tests = [];
const test = (name, run) => tests.push([name, run]);

for (const name of pages)
  test(`${name}: one request, no complaint, all charts`, async () => {
    const seen = await open(name);
    await seen.page.waitForSelector('body[data-ready="1"]');
    assert.deepEqual(seen.requests, [seen.url]);
    assert.deepEqual(seen.complaints, []);
    assert.equal(await seen.page.locator("figure .chart > svg").count(), charts[name]);
    const wide = await seen.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${wide} pixels stand out to the right`);
    assert.equal(await seen.page.getByText("could not be drawn").count(), 0);
    await seen.page.screenshot({path: join(folder, `${name}.png`), fullPage: name !== "large"});
    await seen.close();
  });

for (const name of [...shown, "hostile", "gpu-hostile"])
  test(`${name}: on a telephone nothing stands out to the right`, async () => {
    const seen = await open(name, {viewport: {width: 400, height: 800}});
    await seen.page.waitForSelector('body[data-ready="1"]');
    const wide = await seen.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${wide} pixels stand out to the right`);
    await seen.page.screenshot({path: join(folder, `${name}-narrow.png`), fullPage: true});
    await seen.close();
  });

for (const name of shown)
  test(`${name}: dark, and on paper`, async () => {
    const dark = await open(name, {colorScheme: "dark"});
    const ground = await dark.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(ground, "rgb(22, 24, 27)");
    await dark.page.screenshot({path: join(folder, `${name}-dark.png`), fullPage: true});
    await dark.page.emulateMedia({media: "print", colorScheme: "dark"});
    const paper = await dark.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(paper, "rgb(255, 255, 255)");
    const pdf = await dark.page.pdf({format: "A4"});
    assert.ok(pdf.length > 15000 && pdf.subarray(0, 5).toString() === "%PDF-", `${pdf.length} bytes`);
    assert.deepEqual(dark.complaints, []);
    await dark.close();
  });

for (const name of ["analysis", "device", "gpu", "optimize", "map", "turns", "hostile"])
  test(`${name}: tables without JavaScript`, async () => {
    const plain = await open(name, {javaScriptEnabled: false});
    const names = document_(name);
    const layers = names.layers || names.plan.groups.map((g) => ({name: g.layer}));
    const cells = await plain.page.locator("tr[data-layer] > th").allTextContents();
    const flat = (text) => text.replace(/[\s\u0000-\u001f]+/g, " ").trim();
    assert.deepEqual(cells.slice(0, layers.length).map(flat), layers.map((l) => flat(l.name)));
    assert.ok(await plain.page.getByText("Charts need JavaScript").isVisible());
    await plain.close();
  });

for (const name of shown.filter((name) => !comparisons.includes(name)))
  test(`${name}: numbers of the page are the document's`, async () => {
    const seen = await open(name);
    assert.ok((await compareNumbers(seen.page, document_(name))) > 0);
    await seen.close();
  });

test("patterns: every picture is shown, and what a plan removes is faint", async () => {
  const seen = await open("kept");
  const {layers} = document_("patterns");
  const sizes = await seen.page.locator(".pictures img").evaluateAll((images) => images.map((image) => image.complete && image.naturalWidth));
  assert.equal(sizes.length, layers.reduce((sum, layer) => sum + layer.filters.length, 0));
  assert.ok(sizes.every((size) => size === 8), sizes.join(" "));
  assert.ok((await seen.page.locator(".pictures .gone").count()) > 0);
  const faint = await seen.page.locator(".pictures .gone img").first().evaluate((image) => getComputedStyle(image).opacity);
  assert.equal(faint, "0.3");
  await seen.close();
});

test("tune: the search and the shares follow the selected operator", async () => {
  const seen = await open("tune");
  const {tasks} = document_("tune");
  for (const index of [1, 8]) {
    await seen.page.locator(`tr[data-layer="${index}"] > td`).first().click();
    assert.equal(await seen.page.locator("#convergence-task").inputValue(), String(index));
    const dots = seen.page.locator('figure[data-figure="convergence"] g[aria-label="dot"]').last().locator("circle, path");
    assert.equal(await dots.count(), tasks[index].history.filter((t) => t.us > 0).length);
    const words = await seen.page.locator('figure[data-figure="shares"] .chart > svg').textContent();
    const [own, there] = [tasks[index], tasks[index].at_shares[0]];
    const best = tasks.find((t) => t.op === own.op && t.share === there.share).own.us;
    assert.ok(words.includes(`${Number((there.us / best).toPrecision(4))}x`), words);
  }
  await seen.close();
});

test("analysis: hover tells the number of the bar", async () => {
  const seen = await open("analysis");
  const bar = seen.page.locator('figure[data-figure="recoverable"] g[aria-label="bar"] rect').first();
  await bar.hover();
  const tip = seen.page.locator('figure[data-figure="recoverable"] g[aria-label="tip"]');
  await tip.waitFor();
  const {layers} = document_("analysis");
  const best = layers.reduce((a, b) => (b.recoverable_us > a.recoverable_us || (b.recoverable_us === a.recoverable_us && b.us > a.us) ? b : a));
  const text = (await tip.textContent()) || "";
  assert.ok(text.includes(`${Number(best.us.toPrecision(4))} us`), text);
  assert.ok(text.includes("recoverable"), text);
  await seen.close();
});

test("analysis: a layer selected anywhere is selected everywhere", async () => {
  const seen = await open("analysis");
  const {page} = seen;
  const {layers} = document_("analysis");
  const current = () => page.locator('tr[aria-current="true"]').evaluateAll((rows) => [...new Set(rows.map((r) => r.dataset.layer))]);
  await page.locator('figure[data-figure="recoverable"] g[aria-label="bar"] rect').first().click();
  const [first] = await current();
  assert.ok(first !== undefined);
  assert.equal(await page.locator("#stairs-layer").inputValue(), first);
  await page.locator('tr[data-layer="5"] > td').first().click();
  assert.deepEqual(await current(), ["5"]);
  assert.equal(await page.locator("#stairs-layer").inputValue(), "5");
  assert.ok((await page.locator("#selected").innerText()).includes(layers[5].name));
  await page.locator('tr[data-layer="7"]').first().focus();
  await page.keyboard.press("Enter");
  assert.deepEqual(await current(), ["7"]);
  await page.locator("#stairs-layer").focus();
  await page.locator("#stairs-layer").selectOption("2");
  assert.deepEqual(await current(), ["2"]);
  assert.equal(await page.evaluate(() => document.activeElement.id), "stairs-layer", "the focus stays");
  await page.locator("#selected button").click();
  assert.deepEqual(await current(), []);
  assert.deepEqual(seen.complaints, []);
  await seen.close();
});

test("device: the staircase and the waves follow the selection", async () => {
  const seen = await open("device");
  const {layers, device} = document_("device");
  await seen.page.locator('tr[data-layer="0"] > td').first().click();
  const waves = seen.page.locator('figure[data-figure="waves"]');
  assert.ok((await waves.innerText()).includes(`${layers[0].model.blocks} blocks`));
  const paid = Math.max(1, Math.ceil(layers[0].model.blocks / device.multiprocessors));
  const cells = await waves.locator('g[aria-label="cell"] rect').count();
  assert.equal(cells, Math.min(6, paid) * device.multiprocessors);
  await seen.close();
});

test("analysis: tables sort and filter", async () => {
  const seen = await open("analysis");
  const {layers} = document_("analysis");
  await seen.page.locator("table").first().getByRole("button", {name: "us", exact: true}).click();
  const values = await seen.page.locator("table").first().locator("tr[data-layer] > td:nth-child(3)").evaluateAll((cells) => cells.map((c) => Number(c.dataset.v)));
  assert.deepEqual(values, layers.map((l) => l.us).sort((a, b) => b - a));
  await seen.page.locator("input[type=search]").first().fill("blocks/11/");
  assert.equal(await seen.page.locator("table").first().locator("tr[data-layer]:visible").count(), 1);
  await seen.close();
});

for (const name of ["hostile", "gpu-hostile"])
  test(`${name}: names run nothing and change nothing`, async () => {
    const seen = await open(name);
    for (let layer = 0; layer < 8; ++layer) {
      await seen.page.locator(`tr[data-layer="${layer}"] > td`).first().click();
      assert.equal(await seen.page.locator("img").count(), 0);
    }
    assert.notEqual(await seen.page.title(), "taken");
    assert.equal(await seen.page.evaluate(() => document.querySelectorAll("script").length), 2);
    assert.deepEqual(seen.complaints, []);
    await seen.close();
  });

test("large: two thousand layers are drawn", async () => {
  const begin = Date.now();
  const seen = await open("large");
  await seen.page.waitForSelector('body[data-ready="1"]');
  const drawn = Math.round(await seen.page.evaluate(() => performance.now()));
  console.log(`    ready after ${drawn} ms (${Date.now() - begin} with a new window), ${statSync(join(folder, "large.html")).size} bytes`);
  assert.equal(await seen.page.locator("table").first().locator("tr[data-layer]").count(), 2000);
  await seen.close();
});

const failures = await runAll(tests);
await browser.close();
process.exit(failures ? 1 : 0);
