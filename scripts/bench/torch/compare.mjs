// Kernels of this project beside torch's on this machine's CPU. See README.md beside it.
// Usage: node scripts/bench/torch/compare.mjs --python PATH [options]
import { fileURLToPath } from "node:url";
import { withBuildLock } from "../../build/lock.mjs";
import { buildNativeBench, LAYER_BENCH } from "../../build/native.mjs";
import { machine, median, ratios, table } from "../common/numbers.mjs";
import { Others } from "../common/others.mjs";
import { MALLOC, Worker } from "../common/worker.mjs";
import { casesOf, nameOf, workOf } from "./cases.mjs";
import { readOptions } from "./options.mjs";

/** Relative, of the norms of outputs and gradients. */
const NORM_LIMIT = { f32: 1e-4, bf16: 0.02 };

const options = optionsOrEnd();
const program = await withBuildLock(() => buildNativeBench(LAYER_BENCH));
const workers = startWorkers();
try {
  const programs = (await Promise.all(workers.map(({ worker }) => worker.ready()))).map(({ program }) => program);
  const others = new Others(workers.map(({ worker }) => worker.pid));
  const results = [];
  for (const one of casesOf(options)) {
    if (!options.json) console.error(nameOf(one));
    const rounds = await measure(one);
    for (const phase of Object.keys(rounds[0][0].seconds)) results.push(summary(one, phase, rounds));
  }
  report([...new Set(programs)], others.cores(), results);
} finally {
  for (const { worker } of workers) worker.end();
}

function optionsOrEnd() {
  try {
    return readOptions();
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}

/** Ours first: the others are compared with it. */
function startWorkers() {
  const threads = String(options.threads);
  const script = fileURLToPath(new URL("worker.py", import.meta.url));
  const torch = (malloc) => {
    const name = `torch, malloc ${malloc}`;
    const env = { OMP_NUM_THREADS: threads, ...MALLOC[malloc] };
    return { name, worker: new Worker(name, options.python, [script, threads], env) };
  };
  const ours = new Worker("vlmr1-native", program, [threads]);
  return [{ name: "vlmr1-native", worker: ours }, ...Object.keys(MALLOC).map(torch)];
}

/** A repetition of each in turn; the first of all is not counted. */
async function measure(one) {
  const line = JSON.stringify(one);
  const rounds = [];
  for (let i = 0; i <= options.rounds; i++) {
    const steps = [];
    for (const { name, worker } of workers) {
      const step = await worker.step(line);
      checkNorms(one, name, step.norms, (steps[0] ?? step).norms);
      steps.push(step);
    }
    rounds.push(steps);
  }
  return rounds.slice(1);
}

/** The same inputs must have given the same results. */
function checkNorms(one, name, norms, ours) {
  const limit = NORM_LIMIT[one.precision ?? "f32"];
  if (norms.length === ours.length && norms.every((norm, i) => Math.abs(norm - ours[i]) <= limit * ours[i])) return;
  throw new Error(`${nameOf(one)}: ${name} has norms ${norms}, ours are ${ours}: not the same work`);
}

function summary(one, phase, rounds) {
  const of = (worker) => rounds.map((steps) => steps[worker].seconds[phase]);
  const { flops, bytes } = workOf(one, phase);
  return {
    case: one,
    name: nameOf(one),
    phase,
    unit: flops === undefined ? "GB/s" : "GFLOP/s",
    sides: workers.map(({ name }, i) => {
      const seconds = median(of(i));
      return { name, seconds, rate: (flops ?? bytes) / seconds / 1e9, timesOurs: ratios(of(i), of(0)) };
    }),
  };
}

function report(programs, busy, results) {
  const conditions = { ...machine(), threads: options.threads, rounds: options.rounds, others: busy };
  if (options.json) {
    console.log(JSON.stringify({ programs, conditions, results }, null, 2));
    return;
  }
  console.log(programs.join("; "));
  console.log(`${conditions.cpu}, ${options.threads} threads; medians of ${options.rounds} rounds`);
  console.log(`other programs: ${busy?.toFixed(2) ?? "?"} cores\n`);
  const [ours, ...torch] = workers;
  const head = ["case", "phase", "", ours.name, ...torch.flatMap(({ name }) => [name, "× ours (least–most)"])];
  const rows = results.map(({ name, phase, unit, sides: [first, ...rest] }) => [
    name,
    phase,
    unit,
    first.rate.toFixed(1),
    ...rest.flatMap(({ rate, timesOurs: { median: middle, min, max } }) => [
      rate.toFixed(1),
      `${middle.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`,
    ]),
  ]);
  console.log(table([head, ...rows]));
}
