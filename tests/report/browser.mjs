// What the tests that drive a browser share: finding one, and saying what is missing.
import {existsSync} from "node:fs";
import {createRequire} from "node:module";
import {join} from "node:path";

// ctest takes the word for a test that was not run.
export function skip(why) {
  console.log(`SKIPPED: ${why}`);
  process.exit(0);
}

// A browser without a window. `packages` is the folder into which scripts/get-browser puts playwright-core.
export async function launch(packages) {
  if (!existsSync(join(packages, "node_modules/playwright-core"))) skip("no playwright-core (scripts/get-browser)");
  const names = [process.env.TAILOR_BROWSER, "/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/google-chrome"];
  const executablePath = names.find((name) => name && existsSync(name));
  if (!executablePath) skip("no Chromium (Debian: chromium-headless-shell, or TAILOR_BROWSER)");
  const {chromium} = createRequire(join(packages, "package.json"))("playwright-core");
  return chromium.launch({executablePath, args: ["--no-sandbox"]});
}

// Every [name, run] in turn; how many failed.
export async function runAll(tests) {
  let failures = 0;
  for (const [name, run] of tests) {
    try {
      await run();
      console.log(`ok   ${name}`);
    } catch (error) {
      ++failures;
      console.log(`FAIL ${name}\n${error.stack}`);
    }
  }
  return failures;
}
