import { problemsOf } from "./repository.mjs";

/** Lint, format and order of imports. */
export function checkBiome() {
  const args = ["check", "--error-on-warnings", "--colors=off", "--max-diagnostics=50"];
  return problemsOf(process.execPath, ["node_modules/@biomejs/biome/bin/biome", ...args]);
}

/** The library and its tests; then what runs in a browser, which knows other globals. */
export function checkTypes() {
  return ["tsconfig.json", "tsconfig.page.json"].flatMap((project) =>
    problemsOf(process.execPath, ["node_modules/typescript/bin/tsc", "-p", project, "--noEmit", "--pretty", "false"]),
  );
}
