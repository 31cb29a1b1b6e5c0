import { existsSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { filesUnder, sources } from "../sources.mjs";
import { buildWithCMake, cmakeVersion } from "./cmake.mjs";
import { buildWithGyp } from "./gyp.mjs";
import { BuildError, root, step } from "./run.mjs";
import { hashOf, readStamp, removeStamp, writeStamp } from "./stamp.mjs";

export const ADDON = "build/Release/vlmr1_native.node";
export const NATIVE_TESTS = "build/Release/vlmr1_native_tests";
export const NATIVE_BENCH = "build/Release/vlmr1_native_bench";
/** What is measured beside torch. */
export const LAYER_BENCH = "build/Release/vlmr1_native_layer_bench";

const BUILDERS = { cmake: buildWithCMake, gyp: buildWithGyp };

/** `VLMR1_BUILD=cmake|gyp` decides; else CMake where there is one. */
export function chooseBuilder() {
  const wanted = process.env.VLMR1_BUILD;
  if (wanted && !(wanted in BUILDERS)) throw new BuildError(`VLMR1_BUILD: expected "cmake" or "gyp", got "${wanted}"`);
  if (wanted === "cmake" && !cmakeVersion())
    throw new BuildError("VLMR1_BUILD=cmake: no CMake 3.20 or later on the PATH");
  return wanted || (cmakeVersion() ? "cmake" : "gyp");
}

/** Builds the addon and the native test program unless they are what their sources say. */
export async function buildNative() {
  const builder = chooseBuilder();
  const hash = sourceHash(builder);
  if (isCurrent(hash)) return;
  removeStamp("native");
  // Another builder's outputs are newer than this one's objects and would not be linked again.
  for (const file of outputs()) rmSync(root + file, { force: true });
  const name = builder === "cmake" ? `CMake ${cmakeVersion()}` : "node-gyp";
  await step(`native addon: compiling ${countSources()} files with ${name}; the first time takes minutes`, () =>
    BUILDERS[builder](),
  );
  const missing = outputs().filter((file) => !existsSync(root + file));
  if (missing.length > 0) throw new BuildError(`the build made no ${missing.join(", ")}`);
  writeStamp("native", hash);
}

/** Brings a native benchmark up to date, where nothing else needs it. Answers its path. */
export async function buildNativeBench(program = NATIVE_BENCH) {
  if (!cmakeVersion()) throw new BuildError("the native benchmarks need CMake 3.20 or later on the PATH");
  await buildWithCMake(basename(program));
  return root + program;
}

function isCurrent(hash) {
  return readStamp("native") === hash && outputs().every((file) => existsSync(root + file));
}

/** An installed package holds no tests. */
function outputs() {
  return sources("tests").length > 0 ? [ADDON, NATIVE_TESTS] : [ADDON];
}

function countSources() {
  return ["core", "kernels", "binding", "tests"].reduce((count, group) => count + sources(group).length, 0);
}

function sourceHash(builder) {
  const files = [
    ...filesUnder("native").filter((file) => !file.startsWith("native/bench/")),
    ...filesUnder("scripts/build"),
    ...["CMakeLists.txt", "binding.gyp", "package.json", "scripts/sources.mjs"],
  ];
  return hashOf(files, [builder, process.platform, process.arch]);
}
