import type { GrpoConfig } from "../config/train-schema.js";
import type { AccumulateResult, GrpoLossArgs, NativeGroup } from "../engine/index.js";
import type { CompletionRecord, Metrics } from "../report/index.js";
import { expectedAnswer } from "../rewards/answer.js";
import { ClipStatistics } from "./clip-statistics.js";
import { lossSettings } from "./loss-settings.js";
import type { MicroBatch, PreparedStep } from "./objective.js";
import type { Group } from "./rollout.js";

/** A group of completions with what the rewards say of them; arrays are per completion. */
export interface JudgedGroup {
  group: Group;
  native: NativeGroup;
  advantages: Float32Array;
  /** Per reward. */
  rewards: (number | null)[][];
  /** 0: left out of the loss. */
  mask: Uint8Array;
}

export interface GrpoStepParts {
  config: GrpoConfig;
  all: readonly JudgedGroup[];
  /** The groups that are trained on, packed. */
  batches: readonly (readonly JudgedGroup[])[];
  reference: ReadonlyMap<JudgedGroup, Float32Array[]>;
  rewardNames: readonly string[];
  metrics: Metrics;
}

/** The sampled and judged groups of one step, and what the engine measures on them. */
export class GrpoStep implements PreparedStep {
  /** Log-probabilities of the first pass, before any update: π_old of the later ones. */
  private readonly old = new Map<JudgedGroup, Float32Array[]>();
  private readonly sums = { loss: 0, tokens: 0, entropy: 0, kl: 0 };
  private readonly difference = { sum: 0, max: 0, tokens: 0 };
  private readonly clip = new ClipStatistics();

  constructor(private readonly parts: GrpoStepParts) {}

  get groups(): number {
    return this.parts.all.length;
  }

  get tokens(): number {
    let sum = 0;
    for (const { native } of this.parts.all) {
      for (const completion of native.completions) sum += native.prompt.tokens.length + completion.length;
    }
    return sum;
  }

  get completions(): readonly CompletionRecord[] {
    return this.parts.all.flatMap(({ group, advantages, rewards }) =>
      group.completions.map(({ tokens, finishReason }, index) => ({
        id: group.row.id,
        completion: group.texts[index] ?? "",
        solution: expectedAnswer(group.row.solution),
        rewards: Object.fromEntries(this.parts.rewardNames.map((name, i) => [name, rewards[index]?.[i] ?? null])),
        advantage: advantages[index] ?? 0,
        tokens: tokens.length,
        finishReason,
      })),
    );
  }

  microBatches(iteration: number): MicroBatch[] {
    return this.parts.batches.map((batch) => ({
      groups: batch.map(({ native }) => native),
      loss: this.lossArgs(batch, iteration),
    }));
  }

  private lossArgs(batch: readonly JudgedGroup[], iteration: number): GrpoLossArgs {
    const { config, reference } = this.parts;
    return {
      ...lossSettings(config),
      temperature: config.temperature,
      advantages: batch.map(({ advantages }) => advantages),
      oldLogProbs: iteration === 0 ? [] : batch.map((judged) => this.old.get(judged) ?? []),
      refLogProbs: config.beta > 0 ? batch.map((judged) => reference.get(judged) ?? []) : [],
      mask: batch.map(({ mask }) => mask),
      tokenMask: [],
      ...this.denominators(),
      totalEntropyTokens: 1,
    };
  }

  /** Over every group of the step, those that are skipped for want of an advantage too: they still weigh in the mean. */
  private denominators(): { totalSequences: number; totalTokens: number } {
    let totalSequences = 0;
    let totalTokens = 0;
    for (const { native, mask } of this.parts.all) {
      totalSequences += mask.length;
      for (const [index, completion] of native.completions.entries())
        totalTokens += mask[index] ? completion.length : 0;
    }
    return { totalSequences, totalTokens: Math.max(1, totalTokens) };
  }

  observe(iteration: number, index: number, result: AccumulateResult): void {
    this.sums.loss += result.loss;
    this.sums.tokens += result.tokens;
    this.sums.entropy += result.entropySum;
    this.sums.kl += result.klSum;
    for (const [i, judged] of (this.parts.batches[index] ?? []).entries()) {
      const logProbs = result.logProbs[i] ?? [];
      if (iteration === 0) {
        this.old.set(judged, logProbs);
        this.compareWithRollout(judged.group, logProbs);
      }
      this.clip.add(judged, logProbs, this.old.get(judged) ?? [], this.parts.config);
    }
  }

  /** The forward of training against that of sampling: exactly equal on the CPU. */
  private compareWithRollout({ completions }: Group, logProbs: readonly Float32Array[]): void {
    for (const [index, completion] of completions.entries()) {
      const trained = logProbs[index] as Float32Array;
      for (const [token, sampled] of completion.logProbs.entries()) {
        const difference = Math.abs((trained[token] as number) - sampled);
        this.difference.sum += difference;
        this.difference.tokens += 1;
        // A NaN must show, and stay.
        if (difference > this.difference.max || Number.isNaN(difference)) this.difference.max = difference;
      }
    }
  }

  metrics(): Metrics {
    const { config, metrics, batches } = this.parts;
    const out: Metrics = { loss: this.sums.loss / config.numIterations, ...metrics };
    // Where no group was trained on, nothing of the following was measured.
    if (batches.length === 0) return out;
    const tokens = Math.max(1, this.sums.tokens);
    out.entropy = this.sums.entropy / tokens;
    if (config.beta > 0) out.kl = this.sums.kl / tokens;
    Object.assign(out, this.clip.metrics());
    out["sampling/sampling_logp_difference/mean"] = this.difference.sum / Math.max(1, this.difference.tokens);
    out["sampling/sampling_logp_difference/max"] = this.difference.max;
    return out;
  }
}
