// Makes a checkout ready to run: packages, addon, TypeScript; only what is missing or out of date.
// Usage: node scripts/setup.mjs   (needs Node alone; `npm start` and `npm test` begin with it)
import { fileURLToPath } from "node:url";
import { installDependencies } from "./build/dependencies.mjs";
import { withBuildLock } from "./build/lock.mjs";
import { buildNative } from "./build/native.mjs";
import { main } from "./build/run.mjs";
import { buildTypeScript } from "./build/typescript.mjs";

export function setup() {
  return withBuildLock(async () => {
    await installDependencies();
    await buildNative();
    await buildTypeScript();
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(async () => {
    await setup();
    console.log("▸ ready: `npm start` trains the food example, `npm test` runs the tests");
  });
}
