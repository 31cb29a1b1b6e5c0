// npm runs this after it has unpacked the package: nothing to do where a prebuilt addon fits, else it is compiled here.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { withBuildLock } from "./build/lock.mjs";
import { buildNative } from "./build/native.mjs";
import { BuildError, main, root } from "./build/run.mjs";

await main(async () => {
  if (hasPrebuilt()) return;
  try {
    await withBuildLock(buildNative);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw new BuildError(
      `${error.message}\n\nvlmr1-native has no prebuilt addon for ${process.platform}-${process.arch} and could not ` +
        "compile one. It needs a C++20 compiler (GCC 11, Clang 14 or later), and CMake 3.20 or Python 3 and make.",
    );
  }
});

function hasPrebuilt() {
  if (!existsSync(`${root}prebuilds`)) return false;
  try {
    createRequire(import.meta.url)("node-gyp-build").resolve(root);
    return true;
  } catch {
    return false;
  }
}
