import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { cmakeVersion } from "../../build/cmake.mjs";
import { withBuildLock } from "../../build/lock.mjs";
import { buildNativeBench, NATIVE_BENCH } from "../../build/native.mjs";
import { root } from "../../build/run.mjs";
import { spawnChild } from "./clean-up.mjs";
import { UsageError } from "./options.mjs";
import { Others } from "./others.mjs";

/**
 * Builds and runs the native benchmark program.
 * @returns what it says of the machine, its cases, and how many cores other programs kept busy meanwhile
 */
export async function nativeBench(args) {
  if (!existsSync(root + NATIVE_BENCH)) console.error("▸ building the native benchmark");
  const program = await withBuildLock(buildNativeBench);
  const child = spawnChild(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const others = new Others([child.pid]);
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const closed = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal ?? code));
  });
  const result = { kernels: [] };
  for await (const line of createInterface({ input: child.stdout })) {
    const { type, ...fields } = JSON.parse(line);
    if (type === "machine") Object.assign(result, fields);
    else result.kernels.push(fields);
    // While the program lives: nobody can ask for its time afterwards.
    result.others = others.cores();
  }
  const code = await closed;
  if (code === 2) throw new UsageError(said.split("\n")[0]);
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${said}`);
  return result;
}

/** What the machine can do at most with so many threads; undefined where the program cannot be built. */
export async function measuredPeaks(threads) {
  if (!cmakeVersion()) return undefined;
  return (await nativeBench(["--peaks", "--threads", String(threads)])).peaks;
}
