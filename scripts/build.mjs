// Usage: node scripts/build.mjs [native | typescript]   (without a name: both)
import { withBuildLock } from "./build/lock.mjs";
import { buildNative } from "./build/native.mjs";
import { BuildError, main } from "./build/run.mjs";
import { buildTypeScript } from "./build/typescript.mjs";

const PARTS = { native: buildNative, typescript: buildTypeScript };

await main(() =>
  withBuildLock(async () => {
    const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS);
    for (const name of names) {
      if (!(name in PARTS)) throw new BuildError(`usage: node scripts/build.mjs [${Object.keys(PARTS).join(" | ")}]`);
      await PARTS[name]();
    }
  }),
);
