import { ratios, table } from "./common/numbers.mjs";
import { fullLength, makePrompts, openBench } from "./common/step.mjs";
import { takeTurns, timed } from "./common/turns.mjs";
import { makeWorkload } from "./common/workload.mjs";

export const about = "requests that a decoder answers together and one after another";
export const defaults = {
  preset: "bench-10m",
  precision: "f32",
  requests: [2, 4, 16],
  completion: 32,
  picture: 196,
  rounds: 5,
  threads: 0,
};
export const quick = { preset: "tiny", requests: [2, 3], completion: 4, picture: 56, rounds: 1 };

export async function run(options) {
  // A picture each: no request has another's prompt.
  const workload = await makeWorkload({ ...options, prompts: Math.max(...options.requests), generations: 1 });
  try {
    const bench = await openBench(workload, options);
    try {
      const prompts = await makePrompts(bench, workload);
      const loads = [];
      for (const count of options.requests)
        loads.push(await measure(bench, workload, prompts.slice(0, count), options));
      return { promptTokens: prompts[0].tokens.length, loads };
    } finally {
      bench.engine.dispose();
    }
  } finally {
    await workload.remove();
  }
}

async function measure({ model }, workload, prompts, { rounds }) {
  const same = prompts.map(() => prompts[0]);
  const seconds = (list, maxRows) => async (seed) =>
    (await timed(() => answer(model, requestsOf(workload, list, seed), maxRows))).seconds;
  const turns = await takeTurns(
    { alone: seconds(prompts, 1), together: seconds(prompts, 0), same: seconds(same, 0) },
    rounds,
  );
  const tokens = prompts.length * workload.completion;
  return {
    requests: prompts.length,
    together: ratios(turns.alone, turns.together),
    samePrompt: ratios(turns.alone, turns.same),
    tokensPerSecond: tokens / Math.min(...turns.together),
  };
}

function requestsOf(workload, prompts, seed) {
  const filters = { topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };
  const sampling = { ...filters, ...fullLength(workload) };
  return prompts.map((prompt, id) => ({ id, prompt, sampling, seed, row: id, completion: 0 }));
}

async function answer(model, requests, maxRows) {
  const decoder = model.openDecoder({ maxRows });
  try {
    await decoder.add(requests);
    for (let left = requests.length; left > 0; ) {
      const { active, waiting } = await decoder.step();
      left = active + waiting;
    }
  } finally {
    decoder.dispose();
  }
}

export function print({ options, promptTokens, loads }) {
  const times = ({ median, min, max }) => `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
  console.log(
    `${options.preset}, ${options.precision}; ${promptTokens} prompt tokens, ${options.completion} of an answer: how many times as many answers a second as one after another`,
  );
  const rows = loads.map(({ requests, together, samePrompt, tokensPerSecond }) => [
    String(requests),
    times(together),
    times(samePrompt),
    tokensPerSecond.toFixed(0),
  ]);
  console.log(table([["requests at once", "together", "with one prompt", "tokens/s"], ...rows]));
}
