import type { GrpoConfig } from "../config/train-schema.js";
import type { Model, SamplingArgs } from "../engine/index.js";
import type { Processor } from "../processing/index.js";
import type { Metrics } from "../report/index.js";
import { span } from "../report/spans.js";
import type { Scorer } from "../rewards/score.js";
import { computeAdvantages } from "./advantages.js";
import { type BatchPlan, batchPlan } from "./batch-plan.js";
import { EntropyControl } from "./entropy-control.js";
import { GrpoStep } from "./grpo-step.js";
import { type JudgedGroup, judge, scoreGroups } from "./judge.js";
import type { Objective, PreparedStep, StepContext, StepPlan } from "./objective.js";
import type { Reference } from "./reference.js";
import { rollout } from "./rollout.js";
import { completionRecords, lengthMetrics, rewardMetrics, tokensRead } from "./rollout-metrics.js";
import type { RowSource } from "./rows.js";
import { type SampledGroups, sampleGroups } from "./sample-groups.js";
import { tokenScores } from "./token-scores.js";

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
  private readonly plan: BatchPlan;
  private readonly entropy: EntropyControl;

  constructor(private readonly parts: GrpoParts) {
    this.plan = batchPlan(parts.config);
    this.entropy = new EntropyControl(parts.config);
  }

  prefetch({ position, take }: StepPlan): void {
    this.parts.rows.prefetch(take(position, this.plan.promptsPerRollout));
  }

  async prepare(plan: StepPlan, context: StepContext): Promise<PreparedStep> {
    const { config } = this.parts;
    const sampled = await sampleGroups({
      count: this.plan.promptsPerRollout,
      config,
      ...plan,
      sample: (places) => this.sample(places, plan.step, context),
      warn: context.warn,
    });
    const { judged } = judge(sampled.kept, config);
    const metrics = this.rolloutMetrics(sampled);
    const completions = completionRecords(sampled.all, judged, this.rewardNames);
    await context.onRollout?.({ step: plan.step + 1, completions, metrics });
    const chunks = this.chunksOf(judged);
    return new GrpoStep({
      config,
      chunks,
      rows: sampled.rows,
      tokens: tokensRead(sampled.all),
      completions,
      metrics,
      entropy: this.entropy,
      reference: await span("reference", () => this.referenceScores(judged, context)),
      score: (groups, signal) => this.score(this.parts.model, groups, signal),
      budget: this.parts.maxTokensPerMicrobatch,
    });
  }

  /** The reference follows the policy where that is asked for. */
  async stepDone(done: number): Promise<void> {
    const { reference, model, config } = this.parts;
    if (reference?.follow === undefined || done % config.refModelSyncSteps !== 0) return;
    await reference.follow(model, config.refModelMixupAlpha);
  }

  state(): Record<string, number> {
    return this.entropy.state();
  }

  restore(state: Readonly<Record<string, number>>): void {
    this.entropy.restore(state);
  }

  private get rewardNames(): string[] {
    return this.parts.scorer.rewards.map(({ name }) => name);
  }

  private async sample(places: Parameters<RowSource["take"]>[0], step: number, context: StepContext) {
    const { model, processor, rows, scorer, config } = this.parts;
    const placed = await span("rows", () => rows.take(places, context));
    const options = this.rolloutOptions();
    const groups = await span("rollout", () => rollout(model, processor, placed, options, context));
    return scoreGroups(scorer, groups, config, step, context);
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

  /** Of all that was sampled, what was dropped too: that is what the policy is like. */
  private rolloutMetrics({ all, kept, rounds }: SampledGroups): Metrics {
    const { config } = this.parts;
    if (all.length === 0) return {};
    const values = all.flatMap(({ rewards }) => rewards);
    // Of the rewards as they are, also where they are normalised before they are summed: those always have a mean of 0.
    const { combined } = computeAdvantages(values, {
      numGenerations: config.numGenerations,
      weights: config.rewardWeights,
    });
    const dropped = { "dynamic_sampling/dropped_groups": all.length - kept.length, "dynamic_sampling/rounds": rounds };
    return {
      ...rewardMetrics(this.rewardNames, values, combined),
      frac_reward_zero_std: judge(all, config).zeroStdShare,
      ...lengthMetrics(all.map(({ group }) => group)),
      ...(config.dynamicSampling ? dropped : {}),
    };
  }

  /** The groups of each optimizer update. */
  private chunksOf(judged: readonly JudgedGroup[]): JudgedGroup[][] {
    const { promptsPerUpdate } = this.plan;
    const chunks: JudgedGroup[][] = [];
    for (let from = 0; from < judged.length; from += promptsPerUpdate) {
      chunks.push(judged.slice(from, from + promptsPerUpdate));
    }
    return chunks;
  }

  private async referenceScores(groups: readonly JudgedGroup[], { signal }: StepContext) {
    const { reference } = this.parts;
    return reference === undefined ? new Map() : this.score(reference, groups, signal);
  }

  private score(
    model: Pick<Reference, "logProbs">,
    groups: readonly JudgedGroup[],
    signal: AbortSignal | undefined,
  ): ReturnType<typeof tokenScores> {
    const { config, maxTokensPerMicrobatch: budget } = this.parts;
    return tokenScores(model, groups, { temperature: config.temperature, budget, signal });
  }
}
