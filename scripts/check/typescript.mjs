import { problemsOf } from "./repository.mjs";

/** Lint, format and order of imports. */
export function checkBiome() {
  const args = ["check", "--error-on-warnings", "--colors=off", "--max-diagnostics=50"];
  return problemsOf(process.execPath, ["node_modules/@biomejs/biome/bin/biome", ...args]);
}

/** The library and its tests. */
export function checkTypes() {
  return problemsOf(process.execPath, ["node_modules/typescript/bin/tsc", "--noEmit", "--pretty", "false"]);
}
