import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary.js";

const SCRIPTS = fileURLToPath(new URL("../../scripts/bench/", import.meta.url));
const LONG = 120_000;

const folder = temporaryFolder();

/** In Python's place: says that it is ready, and never answers a step. */
const SILENT = `
  const event = { event: "ready", program: "fake", threads: 1, parameters: 7, inputs: [] };
  console.log("@bench " + JSON.stringify(event));
  process.stdin.resume();
`;

function python(): string {
  const file = join(folder, "python.cjs");
  writeFileSync(file, `#!${process.execPath}\n${SILENT}`);
  chmodSync(file, 0o755);
  return file;
}

/** Linux alone tells. */
function childrenOf({ pid }: ChildProcess): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** "T" where it is stopped, "Z" where it has ended and nobody has asked; undefined where there is none. */
function stateOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.[0];
  } catch {
    return undefined;
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(50);
}

const SIZES = ["--preset", "tiny", "--picture", "56"];

test.skipIf(!existsSync(`/proc/${process.pid}/task/${process.pid}/children`)).each([
  ["SIGINT", 130, "main.mjs", ["tree", ...SIZES, "--shape", "2,80,4", "--rounds", "100000"], 0],
  ["SIGTERM", 143, "threads.mjs", ["--preset", "tiny", "--rounds", "100000"], 2 * availableParallelism()],
  ["SIGHUP", 129, "trl/compare.mjs", [...SIZES, "--python", python(), "--search", join(folder, "found.json")], 1],
] as const)("%s ends with %i: %s leaves no programs and no folder", { timeout: LONG }, async (...row) => {
  const [signal, expected, script, args, children] = row;
  const temporary = join(folder, signal);
  mkdirSync(temporary);
  const env = { ...process.env, TMPDIR: temporary };
  const child = spawn(process.execPath, [SCRIPTS + script, ...args], { env, stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const ready = () => readdirSync(temporary).length > 0 && childrenOf(child).length === children;
  await Promise.race([until(ready), ended.then((code) => Promise.reject(new Error(`ended with ${code}`)))]);
  // Some of them are stopped by now, in the midst of the work.
  await sleep(500);
  const pids = childrenOf(child);
  child.kill(signal);
  expect(await ended).toBe(expected);
  await until(() => pids.every((pid) => [undefined, "Z"].includes(stateOf(pid))));
  expect(pids).toHaveLength(children);
  expect(readdirSync(temporary)).toEqual([]);
});
