import type { GrpoConfig } from "../config/train-schema.js";
import type { AccumulateResult, GrpoLossArgs, TokenScores } from "../engine/index.js";
import { highEntropyMask, lossSettings } from "../losses/index.js";
import type { CompletionRecord, Metrics } from "../report/index.js";
import { span } from "../report/spans.js";
import type { EntropyControl } from "./entropy-control.js";
import { GrpoSums } from "./grpo-sums.js";
import type { JudgedGroup } from "./judge.js";
import { groupTokens, packGroups } from "./micro-batches.js";
import type { MicroBatch, PreparedStep } from "./objective.js";

export interface GrpoStepParts {
  config: GrpoConfig;
  /** The groups of each optimizer update; all of them are gone through `numIterations` times. */
  chunks: readonly (readonly JudgedGroup[])[];
  rows: number;
  tokens: number;
  completions: readonly CompletionRecord[];
  /** Of the rollout. */
  metrics: Metrics;
  entropy: EntropyControl;
  reference: ReadonlyMap<JudgedGroup, TokenScores[]>;
  /** The policy as it is now, by teacher forcing. */
  score(groups: readonly JudgedGroup[], signal: AbortSignal | undefined): Promise<Map<JudgedGroup, TokenScores[]>>;
  /** Packed tokens of a micro-batch. */
  budget: number;
}

/** Losses with one denominator for all updates of a rollout: every token of it weighs the same. */
const ROLLOUT_WIDE: ReadonlySet<string> = new Set(["dapo", "cispo", "vespo"]);

/** What one update is made of. */
interface Update {
  /** The groups that are trained on, packed. */
  batches: JudgedGroup[][];
  /** Per completion, per token; empty where all tokens are learned from. */
  tokenMask: Map<JudgedGroup, Uint8Array[]>;
  /** Sum and number of the entropies that were seen before the update, where tokens are chosen by them. */
  entropy: { sum: number; tokens: number } | undefined;
  totals: Pick<GrpoLossArgs, "totalSequences" | "totalTokens" | "totalEntropyTokens">;
}

/** The sampled and judged groups of one step, and what the engine measures on them. */
export class GrpoStep implements PreparedStep {
  /** Log-probabilities of the first update's forward pass, before the policy moved. */
  private readonly old = new Map<JudgedGroup, Float32Array[]>();
  private readonly sums: GrpoSums;
  private current: Update | undefined;

  constructor(private readonly parts: GrpoStepParts) {
    this.sums = new GrpoSums(parts.config);
  }

  get rows(): number {
    return this.parts.rows;
  }

  get updates(): number {
    return this.parts.chunks.length * this.parts.config.numIterations;
  }

  get tokens(): number {
    return this.parts.tokens;
  }

  get completions(): readonly CompletionRecord[] {
    return this.parts.completions;
  }

  async microBatches(update: number, signal: AbortSignal | undefined): Promise<MicroBatch[]> {
    const { chunks, budget } = this.parts;
    const chunk = chunks[update % chunks.length] ?? [];
    const { tokenMask, entropy } = await this.chooseTokens(chunk, signal);
    const kept = this.needsAll ? chunk : chunk.filter(({ advantages }) => advantages.some((value) => value !== 0));
    const batches = packGroups(kept, budget, ({ native }) => groupTokens(native));
    this.current = { batches, tokenMask, entropy, totals: this.totalsOf(chunk, tokenMask) };
    this.sums.addUpdate(chunk.length, kept.length);
    return batches.map((batch) => ({
      groups: batch.map(({ native }) => native),
      loss: this.lossArgs(batch, this.current as Update, update),
    }));
  }

  /** Without KL and entropy terms a group without advantage adds nothing to the gradient. */
  private get needsAll(): boolean {
    return this.parts.config.beta > 0 || this.parts.entropy.enabled;
  }

  private lossArgs(batch: readonly JudgedGroup[], { tokenMask, totals }: Update, update: number): GrpoLossArgs {
    const { config, reference, entropy } = this.parts;
    // Where the policy has not moved yet it is its own old one.
    const old = update === 0 ? [] : batch.map((judged) => this.old.get(judged) ?? sampledLogProbs(judged));
    const logProbsOf = (judged: JudgedGroup) => (reference.get(judged) ?? []).map(({ logProbs }) => logProbs);
    return {
      ...lossSettings(config),
      entropyCoef: entropy.applied,
      temperature: config.temperature,
      advantages: batch.map(({ advantages }) => advantages),
      oldLogProbs: old,
      refLogProbs: config.beta > 0 ? batch.map(logProbsOf) : [],
      mask: batch.map(({ mask }) => mask),
      tokenMask: tokenMask.size === 0 ? [] : batch.map((judged) => tokenMask.get(judged) ?? []),
      ...totals,
    };
  }

  /** The tokens of highest entropy under the policy as it is now, over all of the update's completions. */
  private async chooseTokens(
    chunk: readonly JudgedGroup[],
    signal: AbortSignal | undefined,
  ): Promise<Pick<Update, "tokenMask" | "entropy">> {
    const { topEntropyQuantile } = this.parts.config;
    const tokenMask: Update["tokenMask"] = new Map();
    if (topEntropyQuantile >= 1) return { tokenMask, entropy: undefined };
    const scores = await span("entropies", () => this.parts.score(chunk, signal));
    const entropies = chunk.map((judged) => (scores.get(judged) ?? []).map(({ entropy }) => entropy));
    const counted = entropies.map((own, group) =>
      own.map((values, index) => new Uint8Array(values.length).fill(chunk[group]?.mask[index] ?? 0)),
    );
    const masks = highEntropyMask(entropies.flat(), topEntropyQuantile, counted.flat());
    const seen = { sum: 0, tokens: 0 };
    for (const [row, values] of entropies.flat().entries()) {
      for (const [token, value] of values.entries()) {
        if (masks[row]?.[token] !== 1) continue;
        seen.sum += value;
        seen.tokens += 1;
      }
    }
    for (const [group, judged] of chunk.entries()) tokenMask.set(judged, masks.splice(0, entropies[group]?.length));
    return { tokenMask, entropy: seen };
  }

  /** Over every group of the update, those that are skipped for want of an advantage too: they still weigh in the mean. */
  private totalsOf(chunk: readonly JudgedGroup[], tokenMask: Update["tokenMask"]): Update["totals"] {
    const { config, chunks } = this.parts;
    const wide = ROLLOUT_WIDE.has(config.lossType);
    const totalTokens = wide ? keptTokens(chunks.flat()) / chunks.length : keptTokens(chunk);
    return {
      totalSequences: chunk.reduce((sum, { mask }) => sum + mask.length, 0),
      totalTokens: Math.max(1, totalTokens),
      totalEntropyTokens: Math.max(1, tokenMask.size === 0 ? keptTokens(chunk) : keptTokens(chunk, tokenMask)),
    };
  }

  observe(update: number, index: number, result: AccumulateResult): void {
    this.sums.add(result);
    if (update > 0) return;
    for (const [i, judged] of (this.current?.batches[index] ?? []).entries()) {
      const logProbs = result.logProbs[i] ?? [];
      this.old.set(judged, logProbs);
      this.sums.compare(logProbs, sampledLogProbs(judged));
    }
  }

  updateDone(): void {
    const { sum, tokens } = this.current?.entropy ?? this.sums.entropyOfUpdate();
    this.parts.entropy.observe(sum / tokens);
  }

  metrics(): Metrics {
    const { entropy, metrics } = this.parts;
    return {
      ...metrics,
      ...this.sums.metrics(Math.max(1, this.updates)),
      ...(entropy.enabled ? { entropy_coef: entropy.current } : {}),
    };
  }
}

/** As they were when the completions were drawn: of the policy before the step's first update. */
function sampledLogProbs({ group }: JudgedGroup): Float32Array[] {
  return group.completions.map(({ logProbs }) => logProbs);
}

function keptTokens(groups: readonly JudgedGroup[], tokenMask?: Update["tokenMask"]): number {
  let sum = 0;
  for (const judged of groups) {
    for (const [index, { length }] of judged.native.completions.entries()) {
      if (judged.mask[index] === 0) continue;
      const chosen = tokenMask?.get(judged)?.[index];
      sum += chosen === undefined ? length : chosen.reduce((count, kept) => count + kept, 0);
    }
  }
  return sum;
}
