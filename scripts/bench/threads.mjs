// What more threads give the engine, and what other programs that keep cores busy take from it. See README.md.
// Usage: node scripts/bench/threads.mjs [options]
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { spawnChild } from "./common/clean-up.mjs";
import { machine, median, table } from "./common/numbers.mjs";
import { Others } from "./common/others.mjs";
import { fullLength, generate, makePrompts, openBench, train } from "./common/step.mjs";
import { timed } from "./common/turns.mjs";
import { makeWorkload } from "./common/workload.mjs";

const PHASES = { decode: "decoding", train: "forward and backward" };
const { values: options } = parseArgs({
  options: {
    preset: { type: "string", default: "bench-10m" },
    rounds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds);
if (!(rounds >= 1)) throw new Error("--rounds: expected a number of at least 1");

const cores = availableParallelism();
const shape = { preset: options.preset, picture: 56, prompts: 2, generations: 8, completion: 12 };
const workload = await makeWorkload({ ...shape, threads: 0 });
const busy = [];
const engines = [];
try {
  for (const threads of threadCounts()) engines.push(await openBench({ ...workload, threads }));
  for (let i = 0; i < 2 * cores; i++) busy.push(await startBusy());
  report(await measure());
} finally {
  for (const child of busy) child.kill("SIGKILL");
  for (const { engine } of engines) engine.dispose();
  await workload.remove();
}

/** 1, 2, 4 … and all cores. */
function threadCounts() {
  const counts = [];
  for (let n = 1; n < cores; n *= 2) counts.push(n);
  return [...counts, cores];
}

/** A program that computes without end, and stands still for now. */
async function startBusy() {
  const child = spawnChild(process.execPath, ["-e", "process.stdout.write('.'); for (;;);"], {
    stdio: ["ignore", "pipe", 2],
  });
  await new Promise((resolve, reject) => {
    child.stdout.once("data", resolve);
    child.once("error", reject);
  });
  child.kill("SIGSTOP");
  return child;
}

async function measure() {
  const all = engines.at(-1);
  const setups = [
    ...engines.map((bench) => ({ bench, others: 0, seconds: [] })),
    ...[1, cores, 2 * cores].map((others) => ({ bench: all, others, seconds: [] })),
  ].filter(({ bench, others }, i, list) => list.findIndex((one) => one.bench === bench && one.others === others) === i);
  const prompts = await makePrompts(all, workload);
  const groups = await generate(all, workload, prompts, 0);
  for (const bench of engines) await work(bench, prompts, groups);
  const elsewhere = new Others(busy.map(({ pid }) => pid));
  for (let i = 0; i < rounds; i++) {
    for (const setup of setups) {
      const disturbing = busy.slice(0, setup.others);
      for (const child of disturbing) child.kill("SIGCONT");
      setup.seconds.push(await work(setup.bench, prompts, groups));
      for (const child of disturbing) child.kill("SIGSTOP");
    }
  }
  return { setups, elsewhere: elsewhere.cores() };
}

/** Kernels of microseconds, and of milliseconds. */
async function work(bench, prompts, groups) {
  const sampling = fullLength(workload);
  const decode = await timed(() => bench.model.generate({ prompts, n: workload.generations, sampling, seed: 0 }));
  const training = await timed(() => train(bench, workload, groups));
  return { decode: decode.seconds, train: training.seconds };
}

function report({ setups, elsewhere }) {
  const single = setups[0];
  const alone = setups.findLast(({ others }) => others === 0);
  const speed = (setup, base, phase) => median(base.seconds.map((one, i) => one[phase] / setup.seconds[i][phase]));
  const result = setups.map((setup) => {
    const { threads } = setup.bench.engine;
    // Every thread that wants to run gets as much of the cores as any other.
    const fair = Math.min(1, cores / (threads + setup.others));
    const of = (base) => Object.fromEntries(Object.keys(PHASES).map((phase) => [phase, speed(setup, base, phase)]));
    return { threads, busy: setup.others, fair, overOneThread: of(single), ofAlone: of(alone) };
  });
  const conditions = { ...machine(), isa: engines[0].engine.isa, others: elsewhere };
  if (options.json) console.log(JSON.stringify({ shape, conditions, result }, null, 2));
  else print(conditions, result);
}

function print({ cpu, isa, others }, result) {
  console.log(`${cpu}, ${isa}, ${cores} cores; other programs: ${others?.toFixed(2) ?? "?"} cores\n`);
  const names = Object.values(PHASES);
  const scaling = result.filter(({ busy }) => busy === 0);
  const figures = (values) => Object.keys(PHASES).map((phase) => values[phase].toFixed(2));
  console.log("Speed over one thread");
  console.log(
    table([["threads", ...names], ...scaling.map((one) => [String(one.threads), ...figures(one.overOneThread)])]),
  );
  console.log("\nBeside busy programs, of the speed alone");
  const disturbed = result.filter(({ busy }) => busy > 0);
  const rows = disturbed.map((one) => [String(one.busy), ...figures(one.ofAlone), one.fair.toFixed(2)]);
  console.log(table([["programs", ...names, "a fair share"], ...rows]));
}
