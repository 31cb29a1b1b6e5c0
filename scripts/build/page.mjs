import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { filesUnder } from "../sources.mjs";
import { BuildError, root, step } from "./run.mjs";
import { hashOf, readStamp, removeStamp, writeStamp } from "./stamp.mjs";

const SOURCE = "lib/page/client/";
const CHARTS = "node_modules/uplot/";

/** What the build leaves in dist that no single file of lib is the source of. */
export const PAGE_FILES = ["dist/page/client.js", "dist/page/client.css", "dist/page/THIRD-PARTY.txt"];

/** Bundles the code and styles of reports and dashboards into one file each, unless they are there already. */
export async function buildPage() {
  const versions = ["esbuild", "uplot"].map((name) => JSON.parse(read(`node_modules/${name}/package.json`)).version);
  const hash = hashOf([...filesUnder(SOURCE.slice(0, -1)), "scripts/build/page.mjs"], versions);
  if (readStamp("page") === hash && PAGE_FILES.every((file) => existsSync(root + file))) return;
  removeStamp("page");
  await step("page: lib/page/client → dist/page", bundle);
  writeStamp("page", hash);
}

async function bundle() {
  // Not at the top: this file is also read where the development packages are not installed.
  const { build } = await import("esbuild");
  const licence = `uPlot, which draws the charts:\n\n${read(`${CHARTS}LICENSE`).trim()}\n`;
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [`${SOURCE}main.ts`, `${SOURCE}styles/all.css`],
    bundle: true,
    minify: true,
    write: false,
    outdir: "dist/page",
    format: "iife",
    target: "es2022",
    charset: "ascii",
    legalComments: "inline",
    // Its licence wants to be in every copy, and every report is one.
    banner: { js: `/*! ${licence}*/` },
    tsconfigRaw: {},
    logLevel: "error",
  }).catch((error) => {
    throw new BuildError(`the page's code cannot be bundled: ${error.message}`);
  });
  mkdirSync(`${root}dist/page`, { recursive: true });
  for (const { path, text } of outputFiles) {
    const file = path.endsWith(".css") ? PAGE_FILES[1] : PAGE_FILES[0];
    writeFileSync(root + file, embeddable(file, text.trimEnd()));
  }
  writeFileSync(root + PAGE_FILES[2], licence);
}

function read(file) {
  return readFileSync(root + file, "utf8");
}

/** Both stand inside of an element of a document, which they must not end. */
function embeddable(file, text) {
  const bad = /<\/(script|style)|<!--|\r/i.exec(text);
  if (bad) throw new BuildError(`${file} holds ${JSON.stringify(bad[0])}, which cannot stand inside of HTML`);
  return text;
}
