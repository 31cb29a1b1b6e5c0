// What the engine does in a GRPO step, and what sharing a group's prompt is worth. See README.md beside it.
// Usage: npm run bench -- [options]
import { parseArgs } from "node:util";
import { flopsOf } from "./common/flops.mjs";
import { benchPresets } from "./common/models.mjs";
import { machine, median, ratios, table } from "./common/numbers.mjs";
import { Others } from "./common/others.mjs";
import { fullLength, generate, makePrompts, openBench, optimize, train } from "./common/step.mjs";
import { makeWorkload } from "./common/workload.mjs";

const PHASES = {
  prefill: "vision and prompts",
  decode: "decoding",
  forward: "log-probabilities only",
  train: "forward and backward",
  optimizer: "AdamW",
};

const options = readOptions();
const workload = await makeWorkload(options);
const bench = await openBench(workload);
try {
  await report();
} finally {
  bench.engine.dispose();
  await workload.remove();
}

function readOptions() {
  const text = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({
    options: {
      preset: text("bench-10m"),
      picture: text("196"),
      prompts: text("2"),
      generations: text("8"),
      completion: text("64"),
      threads: text("0"),
      rounds: text("5"),
      json: { type: "boolean", default: false },
    },
  });
  for (const name of ["picture", "prompts", "generations", "completion", "threads", "rounds"]) {
    values[name] = Number(values[name]);
    if (!(values[name] >= 0)) throw new Error(`--${name}: expected a number`);
  }
  if (!benchPresets.includes(values.preset)) throw new Error(`--preset: one of ${benchPresets.join(", ")}`);
  return values;
}

async function timed(body) {
  const start = performance.now();
  const result = await body();
  return { seconds: (performance.now() - start) / 1000, result };
}

/** The phases with the prompt shared and with nothing shared, one after the other. */
async function round(prompts, seed) {
  const { model } = bench;
  const { generations: n } = workload;
  const first = { ...fullLength(workload), maxNewTokens: 1 };
  const prefill = await timed(() => model.generate({ prompts, n, sampling: first, seed }));
  const shared = await timed(() => generate(bench, workload, prompts, seed));
  const unshared = await timed(() => generate(bench, workload, prompts, seed, { unshared: true }));
  const score = await timed(() => model.logProbs({ groups: shared.result }));
  const tree = await timed(() => train(bench, workload, shared.result));
  const single = await timed(() => train(bench, workload, unshared.result));
  const optimizer = await timed(() => optimize(bench, workload));
  return {
    prefill: prefill.seconds,
    decode: shared.seconds - prefill.seconds,
    forward: score.seconds,
    train: tree.seconds,
    optimizer: optimizer.seconds,
    generation: shared.seconds,
    unsharedGeneration: unshared.seconds,
    unsharedTrain: single.seconds,
  };
}

async function report() {
  const prompts = await makePrompts(bench, workload);
  const others = new Others([]);
  await round(prompts, 0);
  const rounds = [];
  for (let i = 1; i <= options.rounds; i++) rounds.push(await round(prompts, i));
  const of = (name) => rounds.map((one) => one[name]);
  const phases = phaseResults(prompts[0].tokens.length, of);
  const tree = {
    generation: ratios(of("unsharedGeneration"), of("generation")),
    train: ratios(of("unsharedTrain"), of("train")),
    both: ratios(
      rounds.map((one) => one.unsharedGeneration + one.unsharedTrain),
      rounds.map((one) => one.generation + one.train),
    ),
  };
  const { preset, picture, generations, completion } = options;
  const shape = { preset, parameters: workload.parameters, picture, prompts: options.prompts, generations, completion };
  shape.promptTokens = prompts[0].tokens.length;
  const { engine } = bench;
  const conditions = { ...machine(), threads: engine.threads, isa: engine.isa, others: others.cores() };
  const peakBytes = engine.memory().peak;
  if (options.json) console.log(JSON.stringify({ shape, conditions, phases, tree, peakBytes, rounds }, null, 2));
  else print({ shape, conditions, phases, tree, peakBytes });
}

function phaseResults(promptTokens, of) {
  const { prompts, generations, completion, parameters } = workload;
  const flops = flopsOf(workload.config, { ...workload, promptTokens });
  const scored = prompts * generations * completion;
  const tokens = {
    prefill: prompts * promptTokens,
    decode: scored - prompts * generations,
    forward: prompts * promptTokens + scored,
    train: prompts * promptTokens + scored,
  };
  const step = median(of("prefill")) + median(of("decode")) + median(of("train")) + median(of("optimizer"));
  return Object.fromEntries(
    Object.keys(PHASES).map((name) => {
      const seconds = median(of(name));
      return [
        name,
        {
          seconds,
          shareOfStep: name === "forward" ? undefined : seconds / step,
          tokensPerSecond: tokens[name] && tokens[name] / seconds,
          gflops: flops[name] && flops[name] / seconds / 1e9,
          // AdamW reads weight, gradient and two moments, writes all but the gradient, and clears that.
          gigabytesPerSecond: name === "optimizer" ? (parameters * 4 * 8) / seconds / 1e9 : undefined,
        },
      ];
    }),
  );
}

function print({ shape, conditions, phases, tree, peakBytes }) {
  const number = (value, digits = 0) => (value === undefined ? "" : value.toFixed(digits));
  console.log(
    `${shape.preset} (${(shape.parameters / 1e6).toFixed(1)} M parameters), ${shape.prompts} prompts of ${shape.promptTokens} tokens, G = ${shape.generations}, R = ${shape.completion}`,
  );
  console.log(
    `${conditions.cpu}, ${conditions.isa}, ${conditions.threads} threads; other programs: ${number(conditions.others, 2)} cores\n`,
  );
  const rows = Object.entries(phases).map(([name, phase]) => [
    PHASES[name],
    phase.shareOfStep === undefined ? "" : `${number(100 * phase.shareOfStep, 1)} %`,
    number(phase.tokensPerSecond),
    number(phase.gflops, 1),
    number(phase.gigabytesPerSecond, 1),
  ]);
  console.log(table([["phase", "of the step", "tokens/s", "GFLOP/s", "GB/s"], ...rows]));
  console.log("\nThe same completions with nothing shared between them take");
  for (const [name, { median: middle, min, max }] of Object.entries(tree)) {
    console.log(`  ${name.padEnd(10)} ${number(middle, 2)} × the time (${number(min, 2)}–${number(max, 2)})`);
  }
  console.log(`\nTensors held at most ${number(peakBytes / 2 ** 20)} MiB`);
}
