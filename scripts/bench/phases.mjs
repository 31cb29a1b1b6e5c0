import { decodedWeights, flopsOf } from "./common/flops.mjs";
import { measuredPeaks } from "./common/native.mjs";
import { figure, mebibytes, median, percent, table } from "./common/numbers.mjs";
import { fullLength, generate, makePrompts, openBench, optimize, train, wordsOnly } from "./common/step.mjs";
import { takeTurns, timed } from "./common/turns.mjs";
import { makeWorkload } from "./common/workload.mjs";

export const about = "the phases of a GRPO step";
export const defaults = {
  preset: "bench-10m",
  precision: "f32",
  prompts: 2,
  generations: 8,
  completion: 64,
  picture: 196,
  tokens: 0,
  rounds: 5,
  threads: 0,
};
export const quick = { preset: "tiny", prompts: 1, generations: 2, completion: 4, picture: 56, rounds: 1 };

/** What is printed for each; a step holds all but the last, and the forward of training is part of "train". */
const PHASES = {
  vision: "vision tower",
  prefill: "prompts",
  decode: "decoding",
  forward: "training: forward",
  backward: "training: backward",
  optimizer: "AdamW",
  logProbs: "log-probabilities only",
};

export async function run(options) {
  const workload = await makeWorkload(options);
  try {
    const bench = await openBench(workload, options);
    try {
      return await measure(bench, workload, options);
    } finally {
      bench.engine.dispose();
    }
  } finally {
    await workload.remove();
  }
}

async function measure(bench, workload, { rounds, precision, isQuick }) {
  const peaks = isQuick ? undefined : await measuredPeaks(bench.engine.threads);
  const prompts = await makePrompts(bench, workload);
  const seconds = (await takeTurns({ step: (seed) => step(bench, workload, prompts, seed) }, rounds)).step;
  const promptTokens = prompts[0].tokens.length;
  const { engine, model } = bench;
  const phases = rates(workload, promptTokens, (name) => median(seconds.map((one) => one[name])));
  if (peaks) for (const phase of Object.values(phases)) phase.ofPeak = ofPeak(phase, peaks[precision], peaks.dram);
  return {
    parameters: model.info().parameters,
    promptTokens,
    threads: engine.threads,
    isa: engine.isa,
    peaks,
    phases,
    peakBytes: engine.memory().peak,
    rounds: seconds,
  };
}

/** Of arithmetic or of reading memory, whichever is nearer to its peak. */
function ofPeak({ gflops = 0, gigabytesPerSecond = 0 }, arithmetic, memory) {
  return Math.max(gflops / arithmetic.all, gigabytesPerSecond / memory.all);
}

/** Seconds of every phase; what cannot be run alone is a difference of two that can. */
async function step(bench, workload, prompts, seed) {
  const { model } = bench;
  const { generations: n } = workload;
  const first = { ...fullLength(workload), maxNewTokens: 1 };
  const words = await timed(() => model.generate({ prompts: prompts.map(wordsOnly), n, sampling: first, seed }));
  const inputs = await timed(() => model.generate({ prompts, n, sampling: first, seed }));
  const whole = await timed(() => generate(bench, workload, prompts, seed));
  const score = await timed(() => model.logProbs({ groups: whole.result }));
  const both = await timed(() => train(bench, workload, whole.result));
  const optimizer = await timed(() => optimize(bench, workload));
  return {
    vision: inputs.seconds - words.seconds,
    prefill: words.seconds,
    decode: whole.seconds - inputs.seconds,
    forward: score.seconds,
    backward: both.seconds - score.seconds,
    optimizer: optimizer.seconds,
    logProbs: score.seconds,
  };
}

function rates(workload, promptTokens, secondsOf) {
  const { prompts, generations, completion } = workload;
  const flops = flopsOf(workload.config, { ...workload, promptTokens });
  const bytes = bytesOf(workload);
  const scored = prompts * generations * completion;
  const all = prompts * promptTokens + scored;
  const tokens = {
    prefill: prompts * promptTokens,
    decode: scored - prompts * generations,
    forward: all,
    backward: all,
    logProbs: all,
  };
  const names = Object.keys(PHASES);
  const step = names.reduce((sum, name) => sum + (name === "logProbs" ? 0 : secondsOf(name)), 0);
  return Object.fromEntries(
    names.map((name) => {
      const seconds = secondsOf(name);
      return [
        name,
        {
          seconds,
          shareOfStep: name === "logProbs" ? undefined : seconds / step,
          tokensPerSecond: tokens[name] && tokens[name] / seconds,
          gflops: flops[name] && flops[name] / seconds / 1e9,
          gigabytesPerSecond: bytes[name] && bytes[name] / seconds / 1e9,
        },
      ];
    }),
  );
}

function bytesOf({ config, parameters, completion, precision }) {
  return {
    // All rows read the weights together, once for every token.
    decode: (completion - 1) * decodedWeights(config) * (precision === "bf16" ? 2 : 4),
    // AdamW reads weight, gradient and two moments, writes all but the gradient, and clears that.
    optimizer: parameters * 4 * 8,
  };
}

export function print({ options, parameters, promptTokens, threads, isa, phases, peakBytes }) {
  const { preset, precision, prompts, generations, completion } = options;
  console.log(
    `${preset} (${(parameters / 1e6).toFixed(1)} M parameters), ${precision}; ${prompts} × ${promptTokens} prompt tokens, G = ${generations}, R = ${completion}; ${isa}, ${threads} threads`,
  );
  const rows = Object.entries(phases).map(([name, phase]) => [
    PHASES[name],
    percent(phase.shareOfStep),
    phase.tokensPerSecond?.toFixed(0) ?? "",
    figure(phase.gflops),
    figure(phase.gigabytesPerSecond),
    percent(phase.ofPeak),
  ]);
  console.log(table([["phase", "of the step", "tokens/s", "GFLOP/s", "GB/s", "of peak"], ...rows]));
  console.log(`Tensors held at most ${mebibytes(peakBytes)} MiB`);
}
