import type { ModelSource } from "../adapters/index.js";
import type { Row } from "../data/datasets/index.js";
import type { Engine } from "../engine/index.js";
import { throwIfAborted, VlmR1Error } from "../errors/index.js";
import type { Processor } from "../processing/index.js";
import { formatBytes } from "../report/format.js";
import { estimatedModel } from "./estimated-model.js";
import { type EstimatedRun, groupSizes } from "./memory-estimate.js";
import { memoryLimit } from "./memory-fit.js";
import {
  type BudgetedConfig,
  EFFICIENT_TOKENS,
  efficientBudget,
  estimateBudgeted,
  leastBudget,
  type TokenBudget,
} from "./micro-batch-budget.js";
import type { RunPlan } from "./options.js";
import { lookedAt, measureRows } from "./prompt-sizes.js";

export interface MemoryPlanning {
  engine: Engine;
  source: Pick<ModelSource, "directory" | "adapter">;
  plan: RunPlan;
  /** In place of the configuration's, in a run that goes on. */
  budget: TokenBudget;
  rows: readonly Row[];
  warn: (message: string) => void;
  signal: AbortSignal | undefined;
}

/** Rows whose prompts are measured. */
const LOOKED = 64;
/**
 * The start of a run does not wait longer for its estimate: without one it goes on as if memory were plenty, unless a
 * part of it has shown that it is not.
 */
const PATIENCE_MS = 2000;

/**
 * Before the weights are loaded: packed tokens of a micro-batch, and a warning where a run will need more memory than
 * there is. It may still be lucky.
 */
export async function planMemory(planning: MemoryPlanning, processor: Processor, limit?: number): Promise<number> {
  const { engine, plan, budget, warn, signal } = planning;
  const onCpu = engine.device === "cpu";
  // An estimate of supervised training is good enough to choose by, not to warn of.
  if (budget !== "auto" && (!onCpu || plan.objective === "sft")) return budget;
  try {
    const run = await describeRun(planning, processor);
    const config = { ...stepConfig(planning, processor), maxTokensPerMicrobatch: budget };
    if (onCpu) return await fitted(planning, run, config, limit ?? memoryLimit());
    return budget === "auto" ? efficientBudget(groupSizes(run, config)) : budget;
  } catch (error) {
    throwIfAborted(signal);
    if (!(error instanceof VlmR1Error)) throw error;
    warn(`what memory this run takes could not be estimated: ${error.message}`);
    return budget === "auto" ? EFFICIENT_TOKENS : budget;
  }
}

async function fitted(
  { engine, plan, warn, signal }: MemoryPlanning,
  run: EstimatedRun,
  config: BudgetedConfig,
  limit: number,
): Promise<number> {
  const timeout = AbortSignal.timeout(PATIENCE_MS);
  const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  let tooMuch: number | undefined;
  const onPeak = (peak: number) => {
    if (peak > limit) tooMuch = peak;
  };
  try {
    const { budget, estimate } = await estimateBudgeted(engine, run, config, limit, { signal: either, onPeak });
    if (estimate.peak > limit && plan.objective === "grpo") warn(`this run ${tooLittle(estimate.peak, limit)}`);
    return budget;
  } catch (error) {
    throwIfAborted(signal);
    if (!timeout.aborted) throw error;
    return unfinished(groupSizes(run, config), config.maxTokensPerMicrobatch, tooMuch, limit, warn);
  }
}

/** `tooMuch`: what the run needs with a budget that was found not to fit; undefined where none was. */
function unfinished(
  groups: readonly number[],
  asked: TokenBudget,
  tooMuch: number | undefined,
  limit: number,
  warn: (message: string) => void,
): number {
  if (asked !== "auto") return asked;
  const budget = tooMuch === undefined ? efficientBudget(groups) : leastBudget(groups);
  const known = tooMuch === undefined ? "" : `; with larger ones it ${tooLittle(tooMuch, limit)}`;
  warn(
    `what memory this run takes could not be estimated within ${PATIENCE_MS / 1000} s: micro-batches are of ` +
      `at most ${budget} tokens or one group, or of max_tokens_per_microbatch where that is given${known}`,
  );
  return budget;
}

function tooLittle(peak: number, limit: number): string {
  return (
    `may take ${formatBytes(peak)} of memory, and ${formatBytes(limit)} are available; ` +
    "what makes it smaller is said by: vlmr1-native estimate, with the same options"
  );
}

async function describeRun(
  { engine, source, plan, rows, signal }: MemoryPlanning,
  processor: Processor,
): Promise<EstimatedRun> {
  const { promptSuffix, augment } = plan.config;
  const model = await estimatedModel(engine, source);
  const { sizes } = await measureRows(processor, rows, { promptSuffix, limit: LOOKED, signal });
  const seen = augment ? undefined : rows.length;
  return { ...model, prompts: sizes, rows: seen, processBytes: process.memoryUsage().rss };
}

/** Supervised training is estimated as groups of one completion, the longest answer. */
function stepConfig(
  { plan, rows }: MemoryPlanning,
  processor: Processor,
): Omit<BudgetedConfig, "maxTokensPerMicrobatch"> {
  if (plan.objective === "grpo") return plan.config;
  const answers = lookedAt(rows, LOOKED).map(({ solution }) => processor.answerTokens(solution).length);
  const group = { numGenerations: 1, maxCompletionLength: Math.max(1, ...answers), maxNumSeqs: 0 };
  return { ...plan.config, ...group, beta: 0, refPrecision: "auto", syncRefModel: false };
}
