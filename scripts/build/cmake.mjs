import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { root, runQuietly } from "./run.mjs";

const BUILD_DIR = `${root}build/cmake`;

/** The version of the CMake on the PATH, or null when there is none that is new enough. */
export function cmakeVersion() {
  const { stdout } = spawnSync("cmake", ["--version"], { encoding: "utf8" });
  const [, version, major, minor] = /version ((\d+)\.(\d+)[\d.]*)/.exec(stdout ?? "") ?? [];
  if (!version) return null;
  return Number(major) > 3 || Number(minor) >= 20 ? version : null;
}

/** `target`: all unless one is named. Warnings are errors in CI or with VLMR1_WERROR=1: elsewhere a newer compiler's new warning must stop nobody. */
export async function buildWithCMake(target = "all") {
  const strict = process.env.VLMR1_WERROR ?? process.env.CI;
  await runQuietly("cmake", [
    ...["-S", root, "-B", BUILD_DIR],
    "-DCMAKE_BUILD_TYPE=Release",
    `-DVLMR1_OUTPUT_DIR=${root}build/Release`,
    `-DVLMR1_WERROR=${strict && strict !== "0" ? "ON" : "OFF"}`,
  ]);
  await runQuietly("cmake", ["--build", BUILD_DIR, "--target", target, "--parallel", String(availableParallelism())]);
}
