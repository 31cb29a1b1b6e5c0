import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Ticks in which any core was busy, or was taken away from a virtual machine; undefined where there is no /proc. */
function busyTicks() {
  try {
    const [user, nice, system, , , irq, softirq, steal] = readFileSync("/proc/stat", "utf8")
      .split("\n")[0]
      .split(/\s+/)
      .slice(1)
      .map(Number);
    return user + nice + system + irq + softirq + steal;
  } catch {
    return undefined;
  }
}

function ticksOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

const TICKS_PER_SECOND = 100;

/** Time that a program has computed, over all its threads: waiting for a core does not count. */
export const processorSeconds = (pid) => ticksOf(pid) / TICKS_PER_SECOND;

/** The most memory that a program has held, in bytes: Linux's VmHWM; undefined where the system does not tell. */
export function peakMemory(pid) {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return kilobytes * 1024;
  } catch {
    return undefined;
  }
}

/** Measures how many cores other programs kept busy since `start()`: what a time on a shared machine is worth. */
export class Others {
  /** `pids`: the programs that are measured. */
  constructor(pids) {
    this.pids = [...pids, process.pid];
    this.start();
  }

  start() {
    this.since = { at: performance.now(), busy: busyTicks(), own: this.own() };
  }

  /** Cores; undefined where the system does not tell. */
  cores() {
    const busy = busyTicks();
    if (busy === undefined) return undefined;
    const seconds = (performance.now() - this.since.at) / 1000;
    const ticks = busy - this.since.busy - (this.own() - this.since.own);
    return Math.max(0, ticks / TICKS_PER_SECOND / seconds);
  }

  /** Waits for a second in which others use at most so many cores. Returns how many seconds it took. */
  async quiet(limit, patience) {
    const start = performance.now();
    const waited = () => (performance.now() - start) / 1000;
    do {
      this.start();
      await sleep(1000);
    } while (this.cores() > limit && waited() < patience);
    return waited();
  }

  own() {
    return this.pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
  }
}
