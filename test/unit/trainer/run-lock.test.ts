import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RunLock } from "../../../lib/trainer/run-lock.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, runAll } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;

function newRun(lock?: string): { run: string; file: string } {
  const run = join(folder, `run-${runs++}`);
  mkdirSync(run);
  const file = join(run, "run.lock");
  if (lock !== undefined) writeFileSync(file, lock);
  return { run, file };
}

/** Starts a process that does nothing, and ends it after `use`. */
async function beside<T>(use: (pid: number, started: number) => Promise<T>): Promise<T> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(child, "spawn");
  const pid = child.pid as number;
  const started = Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19]);
  try {
    return await use(pid, started);
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}

test("a folder that another process trains in is refused, whatever is asked for, and stays as it is", async () => {
  await beside(async (pid, started) => {
    const lock = JSON.stringify({ pid, started });
    const { run, file } = newRun(lock);
    for (const options of [{}, { overwriteOutputDir: true }, { resume: true }]) {
      await expect(runAll(banditRun(await banditEngine(), run, options))).rejects.toMatchObject({
        code: "ERR_STATE",
        message: `${run} is in use: process ${pid} trains there`,
      });
    }
    expect(readFileSync(file, "utf8")).toBe(lock);
  });
});

test("what a process left that is gone, or whose number another one has, counts for nothing", async () => {
  const left = await beside(async (pid, started) => {
    const { run } = newRun(JSON.stringify({ pid, started: started - 1 }));
    await new RunLock(run).take();
    return { pid, started };
  });
  for (const lock of [JSON.stringify(left), "{", "", '{"pid":"1"}']) {
    const { run, file } = newRun(lock);
    await new RunLock(run).take();
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ pid: process.pid });
  }
});

test("a trainer holds its folder until it is disposed of, or cannot begin", async () => {
  const { run, file } = newRun();
  const trainer = banditRun(await banditEngine(), run, { maxSteps: 1 });
  await runAll(trainer);
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ pid: process.pid });
  await trainer.dispose();
  expect(existsSync(file)).toBe(false);
  // It holds a finished run.
  await expect(runAll(banditRun(await banditEngine(), run))).rejects.toMatchObject({ code: "ERR_STATE" });
  expect(existsSync(file)).toBe(false);
});
