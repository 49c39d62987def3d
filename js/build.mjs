// Builds ../pairsim/notebook/static/views.{js,css} from src/. The first line of each names a hash of everything it was
// made from; tests/notebook/views/test_bundle.py compares it with the sources, so that neither is committed alone.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, readdirSync } from "node:fs";

const files = ["build.mjs", "package-lock.json", "package.json", ...readdirSync("src").map((name) => `src/${name}`)].sort();
const hash = createHash("sha256");
for (const file of files) hash.update(`${file}\n`).update(readFileSync(file));
const sources = hash.digest("hex").slice(0, 16);
const { version } = JSON.parse(readFileSync("node_modules/uplot/package.json"));
const banner = `/*! pairsim views, Apache-2.0; sources ${sources}; holds uPlot ${version}, MIT, (c) Leon Sorokin: LICENSE-uPlot.txt */`;

const folder = "../pairsim/notebook/static";
await build({
  entryPoints: [{ in: "src/index.js", out: "views" }, { in: "src/views.css", out: "views" }],
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  define: { SOURCES: JSON.stringify(sources) },
  banner: { js: banner, css: banner },
});
copyFileSync("node_modules/uplot/LICENSE", `${folder}/LICENSE-uPlot.txt`);
