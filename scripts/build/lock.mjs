import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./run.mjs";

const file = `${root}build/setup.lock`;
const POLL_MS = 300;

/** Runs `body` while no other process of this checkout builds. */
export async function withBuildLock(body) {
  await acquire();
  const release = () => rmSync(file, { force: true });
  process.once("exit", release);
  try {
    return await body();
  } finally {
    process.off("exit", release);
    release();
  }
}

async function acquire() {
  mkdirSync(`${root}build`, { recursive: true });
  for (let told = false; ; told = true) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!isAlive(owner())) {
      rmSync(file, { force: true });
      continue;
    }
    if (!told) console.error(`▸ waiting for process ${owner()}, which builds this checkout`);
    await sleep(POLL_MS);
  }
}

function owner() {
  try {
    return Number(readFileSync(file, "utf8"));
  } catch {
    return Number.NaN;
  }
}

function isAlive(pid) {
  if (Number.isNaN(pid)) return false;
  if (pid === 0) return true; // made this moment, still empty
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
