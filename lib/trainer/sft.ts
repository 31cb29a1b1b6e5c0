import type { AccumulateResult, NativeGroup } from "../engine/index.js";
import type { Processor } from "../processing/index.js";
import type { Metrics } from "../report/index.js";
import { span } from "../report/spans.js";
import { groupTokens, packGroups } from "./micro-batches.js";
import type { MicroBatch, Objective, PreparedStep, StepContext, StepPlan } from "./objective.js";
import type { RowSource } from "./rows.js";

export interface SftParts {
  processor: Processor;
  rows: RowSource;
  /** Rows of an update. */
  promptsPerStep: number;
  maxTokensPerMicrobatch: number;
  /** Positions of the model. */
  maxTokens: number;
}

/** Supervised fine-tuning: the answers of the data, their tokens alone, the end-of-turn token included. */
export class SftObjective implements Objective {
  constructor(private readonly parts: SftParts) {}

  state(): Record<string, number> {
    return {};
  }

  restore(): void {}

  async stepDone(): Promise<void> {}

  prefetch({ position, take }: StepPlan): void {
    this.parts.rows.prefetch(take(position, this.parts.promptsPerStep));
  }

  async prepare(plan: StepPlan, context: StepContext): Promise<PreparedStep> {
    const { processor, rows, maxTokensPerMicrobatch, promptsPerStep } = this.parts;
    const groups: NativeGroup[] = [];
    const places = plan.take(plan.position, promptsPerStep);
    for (const { row, prompt } of await span("rows", () => rows.take(places, context))) {
      const answer = row.solution === "" ? new Int32Array() : processor.answerTokens(row.solution);
      const tokens = prompt.tokens.length + answer.length;
      if (answer.length === 0) context.warn(`row ${row.id} is left out: it has no answer to learn`);
      else if (tokens > this.parts.maxTokens) {
        context.warn(`row ${row.id} is left out: ${tokens} tokens, the model has room for ${this.parts.maxTokens}`);
      } else groups.push({ prompt, completions: [answer] });
    }
    return new SftStep(groups, places.length, maxTokensPerMicrobatch);
  }
}

class SftStep implements PreparedStep {
  readonly completions = [];
  private readonly sums = { loss: 0, tokens: 0, entropy: 0 };

  constructor(
    private readonly all: readonly NativeGroup[],
    readonly rows: number,
    private readonly budget: number,
  ) {}

  get updates(): number {
    return this.all.length === 0 ? 0 : 1;
  }

  get tokens(): number {
    return this.all.reduce((sum, group) => sum + groupTokens(group), 0);
  }

  async microBatches(): Promise<MicroBatch[]> {
    const totalTokens = this.all.reduce((sum, { completions }) => sum + (completions[0]?.length ?? 0), 0);
    return packGroups(this.all, this.budget, groupTokens).map((groups) => ({
      groups,
      loss: { kind: "sft", totalTokens },
    }));
  }

  observe(_update: number, _index: number, result: AccumulateResult): void {
    this.sums.loss += result.loss;
    this.sums.tokens += result.tokens;
    this.sums.entropy += result.entropySum;
  }

  updateDone(): void {}

  metrics(): Metrics {
    return { loss: this.sums.loss, entropy: this.sums.entropy / Math.max(1, this.sums.tokens) };
  }
}
