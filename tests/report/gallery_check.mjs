// node gallery_check.mjs FOLDER PACKAGES: opens every page of the folder in both colour schemes, on a screen and on a telephone,
// compares its numbers with the document that it holds, and leaves pictures of it beside it, and the page as it is printed.
import assert from "node:assert/strict";
import {readdirSync} from "node:fs";
import {join, resolve} from "node:path";
import {pathToFileURL} from "node:url";
import {launch, runAll} from "./browser.mjs";
import {compareNumbers} from "./numbers.mjs";

const [folder, packages] = process.argv.slice(2).map((path) => resolve(path));
const browser = await launch(packages);

async function look(name, colorScheme, width) {
  const context = await browser.newContext({offline: true, viewport: {width, height: 900}, colorScheme});
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(pathToFileURL(join(folder, name)).href);
  await page.waitForSelector('body[data-ready="1"]');
  assert.deepEqual(complaints, []);
  assert.equal(await page.getByText("could not be drawn").count(), 0);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${wide} pixels stand out to the right`);
  const runs = JSON.parse(await page.locator("#runs").textContent());
  if (runs.length === 1) assert.ok((await compareNumbers(page, runs[0].document)) > 0, "no number was compared");
  await page.screenshot({path: join(folder, name.replace(".html", `-${width}-${colorScheme}.png`)), fullPage: true});
  if (width > 1000 && colorScheme === "light") await page.pdf({path: join(folder, name.replace(".html", ".pdf")), format: "A4"});
  await context.close();
}

const names = readdirSync(folder).filter((name) => name.endsWith(".html"));
const looks = names.flatMap((name) => [1280, 400].flatMap((width) => ["light", "dark"].map((scheme) => [name, scheme, width])));
const failures = await runAll(looks.map((one) => [one.join(", "), () => look(...one)]));
await browser.close();
process.exit(failures ? 1 : 0);
