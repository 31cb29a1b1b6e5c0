import { fileURLToPath } from "node:url";
import { Others, processorSeconds } from "../common/others.mjs";
import { MALLOC, Worker } from "../common/worker.mjs";
import { PRECISIONS } from "./settings.mjs";

export const PHASES = ["inputs", "generation", "train", "optimizer"];

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const PYTHON = { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" };

/** This project's half, in the precision that goes with TRL's. */
export function oursBeside(workload, precision, { unshared = false } = {}) {
  const own = PRECISIONS[precision].ours;
  const name = `vlmr1-native ${own}${unshared ? ", nothing shared" : ""}`;
  const args = [here("ours.mjs"), workload.file, own, ...(unshared ? ["unshared"] : [])];
  return { name, precision, own, worker: new Worker(name, process.execPath, args) };
}

/** TRL's half. `base`: the place of the side that it is compared with. */
export function trlSide(workload, python, precision, settings, base = 0) {
  const { malloc, env, ...rest } = settings;
  const name = `TRL ${precision}, malloc ${malloc}`;
  const threads = settings.threads ?? workload.threads;
  const args = [here("trl_worker.py"), workload.file, precision, JSON.stringify(rest)];
  const all = { ...PYTHON, OMP_NUM_THREADS: String(threads), ...MALLOC[malloc], ...env };
  return { name, precision, settings, base, worker: new Worker(name, python, args, all) };
}

/** Both sides must have read the same weights, tokens and pictures. */
export async function ready(sides) {
  const infos = await Promise.all(sides.map(({ worker }) => worker.ready()));
  const [first, ...others] = infos;
  for (const info of others) {
    const same =
      info.parameters === first.parameters &&
      info.threads <= first.threads &&
      info.inputs.every(
        ({ tokens, pixels }, i) =>
          tokens === first.inputs[i].tokens && Math.abs(pixels - first.inputs[i].pixels) < 1e-6,
      );
    if (!same) throw new Error(`not the same work:\n${JSON.stringify(first)}\n${JSON.stringify(info)}`);
  }
  return infos.map((info, i) => ({ ...info, loadedBytes: sides[i].worker.peak() }));
}

/** Steps of several sides in turn, while other programs may be asked to be quiet. */
export class Rounds {
  constructor(sides, options) {
    this.sides = sides;
    this.options = options;
    this.patience = options.patience;
    this.others = new Others(sides.map(({ worker }) => worker.pid));
  }

  /** A step of each. */
  async next() {
    const steps = [];
    for (const side of this.sides) {
      const step = await this.quietStep(side);
      this.check(side, step, steps[0] ?? step);
      steps.push(step);
    }
    return { steps, others: Math.max(...steps.map((step) => step.others)) };
  }

  /** All rounds but those that warm up. */
  async all(onRound) {
    const { warmup, rounds } = this.options;
    const done = [];
    for (let i = 0; i < warmup + rounds; i++) {
      done.push(await this.next());
      onRound(done);
    }
    return done.slice(warmup);
  }

  /** Waits for the machine to be quiet, and repeats a step during which it was not; while patience lasts. */
  async quietStep({ worker }) {
    const limit = this.options["max-others"];
    for (;;) {
      if (limit < Infinity && this.patience > 0) this.patience -= await this.others.quiet(limit, this.patience);
      const start = performance.now();
      const step = await this.timedStep(worker);
      if (!(step.others > limit) || this.patience <= 0) return step;
      this.patience -= (performance.now() - start) / 1000;
    }
  }

  async timedStep(worker) {
    const computed = processorSeconds(worker.pid);
    this.others.start();
    const step = await worker.step();
    step.others = this.others.cores();
    step.seconds.step = PHASES.reduce((sum, phase) => sum + step.seconds[phase], 0);
    step.seconds.processor = processorSeconds(worker.pid) - computed;
    step.peak = worker.peak();
    return step;
  }

  check({ name, precision }, { lengths, entropy }, first) {
    const { completion } = this.options;
    if (lengths.some((length) => length !== completion)) throw new Error(`${name}: completions of ${lengths}`);
    if (Math.abs(entropy - first.entropy) < PRECISIONS[precision].entropyLimit * first.entropy) return;
    throw new Error(`${name}: entropy ${entropy}, the first's ${first.entropy}: not the same model`);
  }
}
