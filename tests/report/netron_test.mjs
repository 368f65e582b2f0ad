// node netron_test.mjs TAILOR MODEL PACKAGES NETRON FOLDER: opens MODEL in Netron, then what `analyze --netron` wrote of it,
// and reads the side bar of a convolution. NETRON is a folder with Netron's index.html and its scripts (the folder
// `netron` of its Python package, or `source` of its repository); without one the test says so and is skipped.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {existsSync, mkdirSync, readFileSync} from "node:fs";
import {createServer} from "node:http";
import {extname, join, resolve} from "node:path";
import {launch, runAll, skip} from "./browser.mjs";

const [tailor, model, packages, netron, folder] = process.argv.slice(2).map((path) => resolve(path));
const home = process.env.TAILOR_NETRON || netron;
if (!existsSync(join(home, "index.html"))) skip("no Netron (TAILOR_NETRON: the folder of its index.html; docs/report.md)");

mkdirSync(folder, {recursive: true});
const attachment = join(folder, "netron.json");
execFileSync(tailor, ["analyze", model, "-d", "t4", "--precision", "f16", "--shape", "image:64x3x32x32", "--quiet", "--netron", attachment]);
const {metrics} = JSON.parse(readFileSync(attachment, "utf8"));

// Its scripts are modules, which browsers do not load from disk. Descriptions of operators may be missing.
const types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"};
const server = createServer((request, response) => {
  const path = join(home, new URL(request.url, "http://localhost").pathname);
  if (!existsSync(path) && !path.endsWith("-metadata.json")) return response.writeHead(404).end();
  response.writeHead(200, {"Content-Type": types[extname(path)] || "application/octet-stream"});
  return response.end(existsSync(path) ? readFileSync(path) : "[]");
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const address = `http://127.0.0.1:${server.address().port}`;

const browser = await launch(packages);
const context = await browser.newContext({viewport: {width: 1300, height: 900}});
await context.addCookies([{name: "consent", value: "1", url: address}]); // the question about cookies is not ours
await context.route((url) => url.hostname !== "127.0.0.1", (route) => route.abort());
// Netron takes eval away from the page, and what drives the browser needs it.
await context.addInitScript(() => {
  const whole = window.eval;
  Object.defineProperty(window, "eval", {get: () => whole, set: () => {}});
});

const tests = [
  ["the side bar of a convolution shows its latency", async () => {
    const page = await context.newPage();
    await page.goto(`${address}/index.html`);
    const dialog = page.locator("#open-file-dialog");
    await page.locator("#open-file-button").waitFor();
    await dialog.setInputFiles(model);
    const node = page.locator(`g.node:has-text("Conv")`).first();
    await node.waitFor();
    await dialog.setInputFiles(attachment);
    await page.waitForTimeout(300);
    await node.click();
    const bar = page.locator("#sidebar");
    await bar.getByText("Metrics", {exact: true}).waitFor();
    await page.screenshot({path: join(folder, "netron.png")});
    // Names stand in fields, values in text.
    const fields = await bar.locator("input").evaluateAll((all) => all.map((field) => field.value));
    const said = [...fields, await bar.innerText()].join("\n").split("\n");
    const shown = metrics.filter((metric) => said.includes(metric.target));
    assert.ok(shown.length > 0, `no layer of the attachment is in the side bar:\n${said.join("\n")}`);
    for (const metric of shown) assert.ok(said.includes(metric.name), `${metric.name} is missing:\n${said.join("\n")}`);
    const latency = shown.find((metric) => metric.name === "latency_us");
    assert.ok(said.some((line) => Math.abs(Number(line) - latency.value) < 1e-4 * latency.value), `${latency.value} is not in\n${said.join("\n")}`);
    assert.ok(said.includes(shown.find((metric) => metric.name === "verdict").value), said.join("\n"));
  }],
];

const failures = await runAll(tests);
await browser.close();
server.close();
process.exit(failures ? 1 : 0);
