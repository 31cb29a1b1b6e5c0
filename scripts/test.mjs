// `npm test`: builds what is missing, then the native tests, then the TypeScript ones.
// Usage: node scripts/test.mjs [native | vitest's arguments …]
import { NATIVE_TESTS } from "./build/native.mjs";
import { main, root, run, step } from "./build/run.mjs";
import { setup } from "./setup.mjs";

const args = process.argv.slice(2);
const only = args[0] === "native" ? "native" : args.length > 0 ? "vitest" : "all";

await main(async () => {
  await setup();
  if (only !== "vitest") {
    const nativeArgs = only === "native" ? args.slice(1) : [];
    const env = { VLMR1_GOLDEN_DIR: process.env.VLMR1_GOLDEN_DIR ?? `${root}test/golden` };
    const code = await step("native tests", () => run(root + NATIVE_TESTS, nativeArgs, env));
    if (code !== 0 || only === "native") return code;
  }
  return run(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...args]);
});
