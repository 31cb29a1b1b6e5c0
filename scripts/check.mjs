// `npm run check`: everything that reads the code without running it. Reports all problems, not the first.
// Usage: node scripts/check.mjs [name …]

import { checkClangFormat } from "./check/clang-format.mjs";
import { checkDependencies } from "./check/dependencies.mjs";
import { checkFiles } from "./check/files.mjs";
import { checkFunctions } from "./check/functions.mjs";
import { checkOdr } from "./check/odr.mjs";
import { checkBiome, checkTypes } from "./check/typescript.mjs";

/** Each answers its problems, and throws `Skip` where it cannot run. */
const CHECKS = {
  files: checkFiles,
  functions: checkFunctions,
  dependencies: checkDependencies,
  "clang-format": checkClangFormat,
  biome: checkBiome,
  types: checkTypes,
  odr: checkOdr,
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(CHECKS);
const unknown = names.find((name) => !(name in CHECKS));
if (unknown) {
  console.error(`no check "${unknown}"; there are: ${Object.keys(CHECKS).join(", ")}`);
  process.exit(2);
}

let failed = 0;
for (const name of names) {
  const { problems, skipped } = attempt(CHECKS[name]);
  const verdict = skipped ? `skipped: ${skipped}` : problems.length === 0 ? "ok" : "FAILED";
  console.log(`${problems.length === 0 ? "✓" : "✗"} ${name}: ${verdict}`);
  for (const problem of problems) console.log(`  ${problem}`);
  if (problems.length > 0) failed++;
}
process.exitCode = failed > 0 ? 1 : 0;

function attempt(check) {
  try {
    return { problems: check() };
  } catch (error) {
    if (error.name !== "Skip") throw error;
    return { problems: [], skipped: error.message };
  }
}
