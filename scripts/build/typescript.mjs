import { existsSync, readFileSync, rmSync } from "node:fs";
import { filesUnder } from "../sources.mjs";
import { buildPage, PAGE_FILES } from "./page.mjs";
import { root, runQuietly, step } from "./run.mjs";
import { hashOf, readStamp, removeStamp, writeStamp } from "./stamp.mjs";

/** Makes dist what lib says, where it is not yet. */
export async function buildTypeScript() {
  await compile();
  await buildPage();
}

async function compile() {
  const compiler = JSON.parse(readFileSync(`${root}node_modules/typescript/package.json`, "utf8")).version;
  const hash = hashOf([...filesUnder("lib"), "tsconfig.json", "tsconfig.build.json"], [compiler]);
  if (readStamp("typescript") === hash && existsSync(`${root}dist/index.js`)) return;
  removeStamp("typescript");
  await step("TypeScript: lib → dist", async () => {
    await runQuietly(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);
    for (const file of filesUnder("dist")) if (!hasSource(file)) rmSync(root + file);
  });
  writeStamp("typescript", hash);
}

/** Whether dist/a/b.js or dist/a/b.d.ts has its lib/a/b.ts. */
function hasSource(file) {
  if (PAGE_FILES.includes(file)) return true;
  return existsSync(`${root}${file.replace(/^dist\//, "lib/").replace(/(\.d\.ts|\.js)$/, ".ts")}`);
}
