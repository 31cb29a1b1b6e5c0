import { machine, ratios } from "../common/numbers.mjs";
import { Rounds, ready, trlSide } from "./rounds.mjs";
import { candidates, merged, START, shapeOf } from "./settings.mjs";

/** A change must win by more than what rounds differ by anyway. */
const BETTER = 0.98;
/** After the first round nobody this slow is looked at further. */
const HOPELESS = 1.1;

/**
 * TRL's fastest configuration for a workload: one change after the other, each measured in turn with the best so far
 * and kept where it was faster. `note`: told each change with what came of it.
 */
export async function search(workload, precision, options, note) {
  const started = [];
  const start = (settings) => {
    const side = trlSide(workload, options.python, precision, settings);
    started.push(side);
    return side;
  };
  try {
    let best = start(START);
    const [info] = await ready([best]);
    await warmUp(best, options);
    const tried = [];
    for (const change of candidates(workload, precision)) {
      const side = start(merged(best.settings, change));
      const result = { change, ...(await attempt(best, side, options)) };
      tried.push(result);
      note(result);
      const [kept, dropped] = result.ratio < BETTER ? [side, best] : [best, side];
      dropped.worker.end();
      best = kept;
    }
    const shape = shapeOf(workload);
    return { shape, precision, settings: best.settings, start: START, tried, program: info.program, ...machine() };
  } finally {
    for (const { worker } of started) worker.end();
  }
}

/** How long the side's step takes in terms of the best one's; or the error that it ended with. */
async function attempt(best, side, options) {
  try {
    await within(options.limit, async () => {
      await ready([side]);
      await warmUp(side, options);
    });
    const rounds = new Rounds([best, side], options);
    const done = [];
    for (let i = 0; i < options.rounds; i++) {
      done.push(await within(options.limit, () => rounds.next()));
      if (compare(done).median > HOPELESS) break;
    }
    const { median, min, max } = compare(done);
    const [before, after] = [0, 1].map((i) => done.map(({ steps }) => steps[i].seconds.step));
    return { ratio: median, least: min, most: max, best: before, candidate: after };
  } catch (error) {
    if (best.worker.failure) throw error;
    return { error: error.message };
  }
}

function compare(rounds) {
  const of = (i) => rounds.map(({ steps }) => steps[i].seconds.step);
  return ratios(of(1), of(0));
}

async function warmUp(side, options) {
  const rounds = new Rounds([side], options);
  // What is compiled is compiled for other sizes in the second step once more.
  const count = side.settings.compile || side.settings.torch_compile ? options.warmup + 1 : options.warmup;
  for (let i = 0; i < count; i++) await rounds.next();
}

async function within(seconds, body) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`gave up after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([body(), late]);
  } finally {
    clearTimeout(timer);
  }
}
