import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RandomStream } from "../../lib/data/random.js";
import type { AccumulateArgs } from "../../lib/engine/native-loss-types.js";
import type {
  AbortFlag,
  GenerateArgs,
  LoadModelArgs,
  LogProbsArgs,
  NativeAddon,
  NativeCompletion,
  NativeModel,
  SaveArgs,
  StepArgs,
  StepResult,
} from "../../lib/engine/native-types.js";
import { fakeAddon } from "./fake-addon.js";
import { NOTHING_CLIPPED } from "./loss.js";

export interface BanditOptions {
  /** What the model can say; the last token ends it. */
  answers: Int32Array[];
  /** Called at the start of every verb of a model. */
  onVerb?: (verb: string, args: unknown) => void;
  onLoad?: (args: LoadModelArgs) => void;
  /** Called before anything is saved; what it throws is what saving ends with. */
  onSave?: (args: SaveArgs) => void;
  /** Updates, from 0, whose gradient is not finite. */
  nonFinite?: ReadonlySet<number>;
}

/**
 * A model that learns, small enough to follow: it says one of a few answers, whatever the prompt, and its parameters
 * are their logits. Losses, gradients and an optimizer with momentum are real, so a run's end depends on every step
 * before it, and rewards rise.
 */
export function banditAddon(options: BanditOptions): NativeAddon {
  const addon = fakeAddon();
  const FakeEngine = addon.Engine;
  class BanditEngine extends FakeEngine {
    override loadModel = async (args: LoadModelArgs) => {
      options.onLoad?.(args);
      return new Bandit(options, args.train) as NativeModel;
    };
  }
  return { ...addon, Engine: BanditEngine };
}

class Bandit implements NativeModel {
  private logits: number[];
  private momentum: number[];
  private gradient: number[];
  private updates = 0;

  constructor(
    private readonly options: BanditOptions,
    private readonly train: LoadModelArgs["train"],
  ) {
    this.logits = options.answers.map(() => 0);
    this.momentum = options.answers.map(() => 0);
    this.gradient = options.answers.map(() => 0);
  }

  info(): ReturnType<NativeModel["info"]> {
    const parameters = this.logits.length;
    return {
      modelType: "qwen2_5_vl",
      parameters,
      trainableParameters: this.train === "none" ? 0 : parameters,
      vocabSize: 320,
      imageTokenId: 314,
      videoTokenId: 315,
      patchSize: 14,
      temporalPatchSize: 2,
      mergeSize: 2,
      maxPositionEmbeddings: 512,
    };
  }

  openDecoder(): never {
    throw new Error("bandits have no decoder");
  }

  async generate(args: GenerateArgs, onProgress: unknown, flag: AbortFlag): Promise<NativeCompletion[][]> {
    await this.enter("generate", args, flag);
    if (typeof onProgress === "function") onProgress({ tokens: 1, finished: args.n, total: args.n, news: [] });
    const { temperature } = args.sampling;
    const probabilities = this.probabilities(temperature || 1);
    return args.prompts.map((_, prompt) =>
      Array.from({ length: args.n }, (_, n) => {
        const draw = new RandomStream(args.seed, args.firstRow + prompt, n).uniform();
        const answer = temperature === 0 ? argmax(probabilities) : pick(probabilities, draw);
        const all = this.options.answers[answer] as Int32Array;
        const tokens = all.slice(0, args.sampling.maxNewTokens);
        const logProbs = this.scores(answer, tokens.length, temperature || 1);
        const finishReason = tokens.length === all.length ? "stop" : "length";
        return { tokens, logProbs, samplingLogProbs: logProbs, finishReason };
      }),
    );
  }

  async logProbs(args: LogProbsArgs, flag: AbortFlag) {
    await this.enter("logProbs", args, flag);
    // What it has learned is its adapter.
    const learned = this.logits;
    if (args.adapter !== "on") this.logits = learned.map(() => 0);
    const scores = args.groups.map(({ completions }) =>
      completions.map((tokens) => ({
        logProbs: this.scores(this.answerOf(tokens), tokens.length, args.temperature),
        // Later tokens are less sure, whatever is said.
        entropy: Float32Array.from(tokens, (_, index) => index / 8),
      })),
    );
    this.logits = learned;
    return scores;
  }

  async accumulate(args: AccumulateArgs, flag: AbortFlag) {
    await this.enter("accumulate", args, flag);
    const { groups, loss } = args;
    let total = 0;
    let tokens = 0;
    for (const [g, { completions }] of groups.entries()) {
      for (const [c, completion] of completions.entries()) {
        const answer = this.answerOf(completion);
        tokens += completion.length;
        const weight =
          loss.kind === "sft" ? 1 / loss.totalTokens : (loss.advantages[g]?.[c] ?? 0) / loss.totalSequences;
        total -= weight * Math.log(this.probabilities(1)[answer] as number);
        this.addGradient(answer, weight);
      }
    }
    const temperature = loss.kind === "sft" ? 1 : loss.temperature;
    const logProbs = groups.map(({ completions }) =>
      completions.map((tokens) => this.scores(this.answerOf(tokens), tokens.length, temperature)),
    );
    return { loss: total, policyLoss: total, tokens, entropySum: tokens, klSum: 0, clip: NOTHING_CLIPPED, logProbs };
  }

  async zeroGradients(): Promise<void> {
    this.gradient.fill(0);
  }

  async step({ learningRate }: StepArgs, flag: AbortFlag): Promise<StepResult> {
    await this.enter("step", { learningRate }, flag);
    const skipped = this.options.nonFinite?.has(this.updates) === true;
    const gradNorm = Math.hypot(...this.gradient);
    for (const i of this.logits.keys()) {
      this.momentum[i] = 0.9 * this.momentum[i]! + this.gradient[i]!;
      if (!skipped) this.logits[i] = this.logits[i]! - learningRate.language * this.momentum[i]!;
    }
    this.gradient.fill(0);
    this.updates += 1;
    return { gradNorm, gradNormClipped: gradNorm, skipped, nonFinite: skipped ? ["logits"] : [], nonFiniteWeights: [] };
  }

  async blend({ source, alpha }: { source: NativeModel; alpha: number }, flag: AbortFlag): Promise<void> {
    await this.enter("blend", { alpha }, flag);
    const { logits } = source as Bandit;
    this.logits = this.logits.map((own, i) => alpha * (logits[i] as number) + (1 - alpha) * own);
  }

  async save(args: SaveArgs): Promise<void> {
    this.options.onSave?.(args);
    const { path, what } = args;
    const whole = what === "model" || what === "merged";
    if (whole) mkdirSync(path, { recursive: true });
    const { logits, momentum, updates } = this;
    const content = what === "state" ? { logits, momentum, updates } : { what, logits };
    writeFileSync(whole ? join(path, "model.safetensors") : path, JSON.stringify(content));
  }

  async loadState({ path }: { path: string }): Promise<void> {
    try {
      Object.assign(this, JSON.parse(readFileSync(path, "utf8")));
    } catch {
      throw Object.assign(new Error(`${path} is damaged`), { code: "ERR_CHECKPOINT" });
    }
  }

  dispose(): void {}

  private async enter(verb: string, args: unknown, flag: AbortFlag): Promise<void> {
    this.options.onVerb?.(verb, args);
    await new Promise((resolve) => setImmediate(resolve));
    if (Atomics.load(flag, 0) !== 0) throw Object.assign(new Error("aborted"), { code: "ERR_ABORTED" });
  }

  private probabilities(temperature: number): number[] {
    const weights = this.logits.map((logit) => Math.exp(logit / temperature));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  }

  /** The choice is made by the first token. */
  private scores(answer: number, length: number, temperature: number): Float32Array {
    const scores = new Float32Array(length);
    scores[0] = Math.log(this.probabilities(temperature)[answer] as number);
    return scores;
  }

  private addGradient(answer: number, weight: number): void {
    for (const [i, probability] of this.probabilities(1).entries()) {
      this.gradient[i] = this.gradient[i]! + weight * (probability - (i === answer ? 1 : 0));
    }
  }

  private answerOf(tokens: Int32Array): number {
    const found = this.options.answers.findIndex((answer) => tokens.every((token, i) => answer[i] === token));
    if (found < 0) throw new Error("not one of the answers");
    return found;
  }
}

function pick(probabilities: readonly number[], draw: number): number {
  let sum = 0;
  for (const [i, probability] of probabilities.entries()) {
    sum += probability;
    if (draw < sum) return i;
  }
  return probabilities.length - 1;
}

function argmax(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
