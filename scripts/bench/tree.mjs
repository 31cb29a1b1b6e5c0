import { mebibytes, ratios, table } from "./common/numbers.mjs";
import { UsageError } from "./common/options.mjs";
import { generate, makePrompts, openBench, train } from "./common/step.mjs";
import { takeTurns, timed } from "./common/turns.mjs";
import { makeWorkload, withShape } from "./common/workload.mjs";

export const about = "what it is worth that a group shares its prompt";
export const defaults = {
  preset: "bench-10m",
  precision: "f32",
  shape: ["4,100,64", "8,100,64", "8,300,64", "8,1024,128", "16,300,64"],
  picture: 196,
  rounds: 3,
  threads: 0,
};
export const quick = { preset: "tiny", shape: ["2,80,4", "4,80,4"], picture: 56, rounds: 1 };

export async function run(options) {
  const shapes = options.shape.map(readShape);
  const workload = await makeWorkload({ ...options, ...shapes[0], prompts: 1 });
  try {
    const groups = [];
    for (const shape of shapes) groups.push(await measure(withShape(workload, shape), options));
    return { groups };
  } finally {
    await workload.remove();
  }
}

function readShape(text) {
  const [generations, tokens, completion] = text.split(",").map(Number);
  const all = [generations, tokens, completion];
  if (text.split(",").length === 3 && all.every((value) => Number.isInteger(value) && value > 1))
    return { generations, tokens, completion };
  throw new UsageError(`--shape: expected completions, prompt tokens and completion tokens as 8,300,64, got "${text}"`);
}

/** With an engine of its own: memory's peak counts from its start. */
async function measure(workload, { rounds, precision }) {
  const { generations: g, tokens: p, completion: r } = workload;
  const bench = await openBench(workload, { precision });
  try {
    const prompts = await makePrompts(bench, workload);
    const peak = {};
    const mode = (name, unshared) => async (seed) => {
      const generation = await timed(() => generate(bench, workload, prompts, seed, { unshared }));
      const training = await timed(() => train(bench, workload, generation.result));
      // "Shared" takes less and comes first, so that the first turn sees the peak of each.
      peak[name] ??= bench.engine.memory().peak;
      return [generation.seconds, training.seconds, generation.seconds + training.seconds];
    };
    const turns = await takeTurns({ shared: mode("shared", false), unshared: mode("unshared", true) }, rounds);
    const ratio = (part) => ratios(...["unshared", "shared"].map((name) => turns[name].map((one) => one[part])));
    const [generation, training, both] = [0, 1, 2].map(ratio);
    const tokenBound = (g * (p + r)) / (p + g * r);
    const memory = { ...peak, ratio: peak.unshared / peak.shared };
    return { generations: g, promptTokens: p, completion: r, tokenBound, generation, training, both, memory };
  } finally {
    bench.engine.dispose();
  }
}

export function print({ options, groups }) {
  const times = ({ median, min, max }) => `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
  console.log(
    `${options.preset}, ${options.precision}: how many times as long a group takes where nothing is shared; tokens: the ratio of tokens computed`,
  );
  const rows = groups.map(({ generations, promptTokens, completion, tokenBound, memory, ...seconds }) => [
    `G ${generations}, P ${promptTokens}, R ${completion}`,
    tokenBound.toFixed(2),
    times(seconds.training),
    times(seconds.generation),
    times(seconds.both),
    `${mebibytes(memory.shared)} / ${mebibytes(memory.unshared)}`,
  ]);
  console.log(table([["group", "tokens", "training", "generation", "both", "MiB shared / not"], ...rows]));
}
