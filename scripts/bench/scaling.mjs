import { cpus } from "node:os";
import { flopsOf } from "./common/flops.mjs";
import { figure, median, percent, table } from "./common/numbers.mjs";
import { UsageError } from "./common/options.mjs";
import { generate, makePrompts, openBench, optimize, train } from "./common/step.mjs";
import { takeTurns, timed } from "./common/turns.mjs";
import { makeWorkload, withShape } from "./common/workload.mjs";

export const about = "how a step's time grows with tokens, threads and parameters";
export const defaults = {
  preset: "bench-10m",
  precision: "f32",
  generations: 8,
  completion: 64,
  tokens: 100,
  picture: 196,
  rounds: 3,
  threads: 0,
  over: ["tokens", "threads", "parameters"],
};
export const quick = { preset: "tiny", generations: 2, completion: 4, tokens: 80, picture: 56, rounds: 1 };

export async function run(options) {
  if (options.tokens === 0) throw new UsageError("--tokens: 0 is nothing to make longer; give at least 1");
  const result = {};
  for (const name of options.over) result[name] = await OVER[name](options);
  return result;
}

const OVER = { tokens: overTokens, threads: overThreads, parameters: overParameters };

/** Opened variants take turns; `make` adds what is opened to a list that is closed in the end. */
async function compare(options, make) {
  const open = [];
  try {
    const variants = await make(async (settings) => {
      const workload = await makeWorkload({ ...options, prompts: 1, ...settings });
      open.push(workload.remove);
      const bench = await openBench(workload, options);
      open.push(() => bench.engine.dispose());
      return { workload, bench };
    });
    const steps = {};
    for (const { name, bench, workload } of variants) steps[name] = await stepOf(bench, workload);
    const seconds = await takeTurns(steps, options.rounds);
    return variants.map((variant) => ({ ...variant, seconds: median(seconds[variant.name]) }));
  } finally {
    for (const close of open.reverse()) await close();
  }
}

/** A whole step but for what JavaScript does before it: its seconds. */
async function stepOf(bench, workload) {
  const prompts = await makePrompts(bench, workload);
  return async (seed) => {
    const { seconds } = await timed(async () => {
      const groups = await generate(bench, workload, prompts, seed);
      await train(bench, workload, groups);
      await optimize(bench, workload);
    });
    return seconds;
  };
}

async function overTokens(options) {
  const { generations, tokens, completion } = options;
  const shapes = [
    { tokens, completion },
    { tokens, completion: 2 * completion },
    { tokens, completion: 4 * completion },
    { tokens: 3 * tokens, completion },
    { tokens: 10 * tokens, completion },
  ];
  const variants = await compare(options, async (open) => {
    const { workload, bench } = await open({});
    return shapes.map((shape) => ({
      name: `P ${shape.tokens}, R ${shape.completion}`,
      tokens: shape.tokens + generations * shape.completion,
      bench,
      workload: withShape(workload, { generations, ...shape }),
    }));
  });
  return relative(variants, "tokens");
}

async function overThreads(options) {
  const cores = options.threads || cpus().length;
  const counts = [cores];
  for (let threads = 1; threads < cores; threads *= 2) counts.push(threads);
  const variants = await compare(options, (open) =>
    inOrder(
      counts.sort((a, b) => a - b),
      async (threads) => ({ name: `${threads} threads`, threads, ...(await open({ threads })) }),
    ),
  );
  const [{ seconds: one }] = variants;
  return variants.map(({ name, threads, seconds }) => {
    const speedup = one / seconds;
    return { name, threads, seconds, speedup, efficiency: speedup / threads };
  });
}

async function overParameters(options) {
  const presets = options.isQuick ? ["tiny"] : ["tiny", "bench-10m", "bench-80m"];
  const variants = await compare(options, (open) =>
    inOrder(presets, async (preset) => {
      const opened = await open({ preset });
      const { config, parameters, tokens } = opened.workload;
      const {
        vision,
        prefill,
        decode,
        train: training,
      } = flopsOf(config, { ...opened.workload, promptTokens: tokens });
      return { name: preset, parameters, flops: vision + prefill + decode + training, ...opened };
    }),
  );
  const times = relative(variants, "parameters");
  return times.map((one, i) => ({ ...one, gflops: variants[i].flops / variants[i].seconds / 1e9 }));
}

/** One after the other: the models are written to disk and read. */
async function inOrder(values, make) {
  const made = [];
  for (const value of values) made.push(await make(value));
  return made;
}

/** Time over the first variant's, beside what there is more of. */
function relative(variants, unit) {
  const [first] = variants;
  return variants.map(({ name, seconds, [unit]: amount }) => {
    const [time, more] = [seconds / first.seconds, amount / first[unit]];
    return { name, [unit]: amount, seconds, time, more, timePerUnit: time / more };
  });
}

const x = (value) => value.toFixed(2);

export function print({ options, tokens, threads, parameters }) {
  const { preset, precision, generations, tokens: p, completion } = options;
  console.log(
    `${preset}, ${precision}, one group: G = ${generations}, P = ${p}, R = ${completion} unless it says other`,
  );
  if (tokens) {
    const rows = tokens.map((one) => [one.name, String(one.tokens), x(one.more), x(one.time), x(one.timePerUnit)]);
    console.log(`\n${table([["tokens", "computed", "× tokens", "× time", "× time a token"], ...rows])}`);
  }
  if (threads) {
    const rows = threads.map((one) => [one.name, x(one.speedup), percent(one.efficiency)]);
    console.log(`\n${table([["threads", "× speed", "efficiency"], ...rows])}`);
  }
  if (parameters) {
    const rows = parameters.map((one) => [
      one.name,
      (one.parameters / 1e6).toFixed(1),
      x(one.more),
      x(one.time),
      figure(one.gflops),
    ]);
    console.log(`\n${table([["model", "million", "× parameters", "× time", "GFLOP/s"], ...rows])}`);
  }
}
