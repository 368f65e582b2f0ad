// node bundle.mjs PACKAGES MAIN OUT.cpp: the page's script and the chart library as one text, as C++ literals.
// PACKAGES holds node_modules with esbuild and @observablehq/plot, as scripts/get-charts installs them.
import {readFileSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {dirname, join, resolve} from "node:path";

const [packages, main, out] = process.argv.slice(2).map((path) => resolve(path));
const esbuild = createRequire(join(packages, "package.json"))("esbuild");

// Plot puts a <style> into every picture. The page's policy names its styles by hash and would refuse it; its rules
// stand in page.css instead.
const withoutStyle = {
  name: "without-style",
  setup(build) {
    build.onLoad({filter: /[\\/]plot[\\/]src[\\/]plot\.js$/}, ({path}) => {
      const text = readFileSync(path, "utf8");
      const pieces = text.split('svg.append("style").text(');
      if (pieces.length !== 2) throw new Error(`${path} is not the version that this script knows`);
      return {contents: pieces.join("void ("), loader: "js"};
    });
  },
};

// Every licence that the bundle's parts ask to keep, once, with the packages that it is of.
function licences(inputs) {
  const texts = new Map();
  for (const name of new Set(Object.keys(inputs).map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(path)?.[1]).filter(Boolean))) {
    const text = readFileSync(join(packages, "node_modules", name, "LICENSE"), "utf8").trim();
    texts.set(text, [...(texts.get(text) || []), name]);
  }
  return [...texts].map(([text, names]) => `/*\n${names.join(", ")}\n\n${text.replaceAll("*/", "* /")}\n*/`).join("\n");
}

const built = await esbuild.build({
  entryPoints: [main],
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2020"],
  legalComments: "none",
  nodePaths: [join(packages, "node_modules")],
  absWorkingDir: dirname(out),
  plugins: [withoutStyle],
  write: false,
  metafile: true,
  logLevel: "warning",
});
const ascii = (text) => text.replace(/[^\x00-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
const script = ascii(`${licences(built.metafile.inputs)}\n${built.outputFiles[0].text}`);
if (/<\/script|<!--/i.test(script)) throw new Error("the bundle would end the element that it stands in");
if (script.includes(')__"')) throw new Error("the bundle holds the end of a C++ literal");

const pieces = script.match(/[^]{1,12000}/g).map((piece) => `      R"__(${piece})__",\n`);
writeFileSync(out, `// Written by bundle.mjs.
#include "tailor/report/assets.h"

namespace tailor::report {

const std::vector<std::string_view>& script_pieces() {
  static const std::vector<std::string_view> pieces = {
${pieces.join("")}  };
  return pieces;
}

}  // namespace tailor::report
`);
console.error(`${main}: ${script.length} bytes with its libraries`);
