import type { GrpoConfig } from "../config/train-schema.js";
import type { Model, SamplingArgs } from "../engine/index.js";
import type { Processor } from "../processing/index.js";
import { span } from "../report/spans.js";
import { rewardImages } from "../rewards/images.js";
import type { Scorer } from "../rewards/score.js";
import { computeAdvantages } from "./advantages.js";
import { GrpoStep, type JudgedGroup } from "./grpo-step.js";
import { groupTokens, packGroups } from "./micro-batches.js";
import type { Objective, PreparedStep, StepContext, StepPlan } from "./objective.js";
import type { Reference } from "./reference.js";
import { type Group, rollout } from "./rollout.js";
import { lengthMetrics, rewardMetrics } from "./rollout-metrics.js";
import type { RowSource } from "./rows.js";

export interface GrpoParts {
  model: Model;
  /** Needed where beta > 0: scores completions, is never trained. */
  reference: Reference | undefined;
  processor: Processor;
  rows: RowSource;
  scorer: Scorer;
  config: GrpoConfig;
  maxTokensPerMicrobatch: number;
}

/** Group-relative policy optimisation: samples a group of completions per row and learns from their rewards. */
export class GrpoObjective implements Objective {
  constructor(private readonly parts: GrpoParts) {}

  get iterations(): number {
    return this.parts.config.numIterations;
  }

  state(): Record<string, number> {
    return {};
  }

  restore(): void {}

  prefetch({ places }: StepPlan): void {
    this.parts.rows.prefetch(places);
  }

  async prepare(plan: StepPlan, context: StepContext): Promise<PreparedStep> {
    const { config, model, processor, rows } = this.parts;
    const placed = await span("rows", () => rows.take(plan.places, context));
    const options = this.rolloutOptions();
    const groups = await span("rollout", () => rollout(model, processor, placed, options, context));
    const { judged, metrics } = await this.judge(groups, plan.step, context);
    // With beta = 0 a group without advantage adds nothing to the gradient; with KL every group does.
    const kept = config.beta > 0 ? judged : judged.filter(({ advantages }) => advantages.some((value) => value !== 0));
    const reference = await span("reference", () => this.referenceLogProbs(kept, context));
    const skipped = groups.length === 0 ? 0 : 1 - kept.length / groups.length;
    const micro = packGroups(kept, this.parts.maxTokensPerMicrobatch, ({ native }) => groupTokens(native));
    return new GrpoStep({
      config,
      all: judged,
      batches: micro,
      reference,
      rewardNames: this.parts.scorer.rewards.map(({ name }) => name),
      metrics: groups.length === 0 ? {} : { ...metrics, ...lengthMetrics(groups), frac_groups_skipped: skipped },
    });
  }

  private rolloutOptions() {
    const { config, processor } = this.parts;
    const sampling: SamplingArgs = {
      temperature: config.temperature,
      topK: config.topK,
      topP: config.topP,
      minP: config.minP,
      repetitionPenalty: config.repetitionPenalty,
      maxNewTokens: config.maxCompletionLength,
      stopTokens: processor.generation.stopTokens,
    };
    return { numGenerations: config.numGenerations, maxNumSeqs: config.maxNumSeqs, sampling, seed: config.seed };
  }

  private async judge(groups: readonly Group[], step: number, context: StepContext) {
    const { config, scorer } = this.parts;
    const items = groups.flatMap(({ row, prompt, completions, texts }) =>
      completions.map(({ tokens, finishReason }, index) => ({
        row,
        completion: texts[index] as string,
        tokens,
        finishReason,
        images: rewardImages(row, prompt.pictures),
      })),
    );
    const options = {
      step,
      evaluation: false,
      maxCompletionLength: config.maxCompletionLength,
      timeLimit: config.rewardTimeout * 1000,
      concurrency: config.rewardConcurrency,
      retries: config.rewardRetries,
      signal: context.signal,
    };
    const { values, failures } = await span("rewards", () => scorer.score(items, options));
    for (const { reward, row, message } of failures) context.warn(`reward ${reward}, row ${row}: ${message}`);
    const { advantages, combined, zeroStdShare } = computeAdvantages(values, {
      numGenerations: config.numGenerations,
      weights: config.rewardWeights,
      scaleRewards: config.scaleRewards,
    });
    const names = scorer.rewards.map(({ name }) => name);
    const judged = groups.map((group, index): JudgedGroup => {
      const from = index * config.numGenerations;
      const to = from + config.numGenerations;
      return {
        group,
        native: { prompt: group.prompt, completions: group.completions.map(({ tokens }) => tokens) },
        advantages: advantages.slice(from, to),
        rewards: values.slice(from, to),
        mask: Uint8Array.from(group.completions, ({ finishReason }) =>
          config.maskTruncatedCompletions && finishReason === "length" ? 0 : 1,
        ),
      };
    });
    const metrics = { ...rewardMetrics(names, values, combined), frac_reward_zero_std: zeroStdShare };
    return { judged, metrics };
  }

  /** By group. */
  private async referenceLogProbs(
    groups: readonly JudgedGroup[],
    { signal }: StepContext,
  ): Promise<Map<JudgedGroup, Float32Array[]>> {
    const { reference, config, maxTokensPerMicrobatch } = this.parts;
    const found = new Map<JudgedGroup, Float32Array[]>();
    if (reference === undefined) return found;
    for (const batch of packGroups(groups, maxTokensPerMicrobatch, ({ native }) => groupTokens(native))) {
      const natives = batch.map(({ native }) => native);
      const scores = await reference.logProbs({ groups: natives, temperature: config.temperature, signal });
      for (const [index, judged] of batch.entries()) {
        found.set(
          judged,
          (scores[index] ?? []).map(({ logProbs }) => logProbs),
        );
      }
    }
    return found;
  }
}
