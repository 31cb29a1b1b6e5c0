import { type ModelNames, type ModelSource, resolveModelSource } from "../adapters/index.js";
import type { FileRows } from "../data/datasets/index.js";
import { Engine } from "../engine/index.js";
import type { FetchOptions } from "../hub/index.js";
import type { Processor } from "../processing/index.js";
import { loadReward } from "../rewards/index.js";
import { nameRewards } from "../rewards/named.js";
import { Scorer } from "../rewards/score.js";
import { planMemory } from "./memory-plan.js";
import type { TokenBudget } from "./micro-batch-budget.js";
import type { ResolvedOptions } from "./options.js";
import { leaveOutOverlong } from "./overlong.js";
import { openPolicy, type Policy } from "./policy.js";
import { openData, type RunData } from "./run-data.js";

/** Everything that a run holds open. */
export interface Session extends Policy, RunData {
  engine: Engine;
  ownsEngine: boolean;
  source: ModelSource;
  scorer: Scorer;
}

export interface OpenSessionOptions {
  names: ModelNames;
  budget: TokenBudget;
  warn: (message: string) => void;
  onDownload: FetchOptions["onProgress"];
  signal: AbortSignal | undefined;
  /** While prompts are measured, where max_prompt_length asks for that: 0 … 1. */
  onMeasured?: ((fraction: number) => void) | undefined;
}

/** What is cheap to check comes first: a misspelt reward or file fails before gigabytes of weights are read. */
export async function openSession(
  options: ResolvedOptions,
  { names, budget, warn, onDownload, signal, onMeasured }: OpenSessionOptions,
): Promise<Session> {
  const { config } = options.plan;
  const scorer = new Scorer(nameRewards(await Promise.all(options.rewards.map(asReward))));
  const { evalRows, ...read } = await openData(options, { warn, signal });
  if (options.plan.objective === "grpo") scorer.checkRows(read.rows, { augment: options.plan.config.augment });
  if (evalRows !== undefined) scorer.checkRows(evalRows);
  const source = await resolveModelSource(names, { signal, onProgress: onDownload, onNotice: warn });
  const { device, threads, isa } = config;
  const engine = options.engine ?? (await Engine.open({ device, threads, isa }));
  const ownsEngine = options.engine === undefined;
  try {
    const { plan } = options;
    let data: FileRows = read;
    const beforeLoading = async (processor: Processor) => {
      const { maxPromptLength, promptSuffix } = config;
      if (maxPromptLength !== undefined) {
        const limits = { maxPromptLength, promptSuffix, signal, onProgress: onMeasured };
        const { rows, files } = await leaveOutOverlong(data, processor, limits, warn);
        data = { rows, files };
      }
      return planMemory({ engine, source, plan, budget, rows: data.rows, warn, signal }, processor);
    };
    const policy = await openPolicy(plan, source, engine, { signal, beforeLoading });
    return { engine, ownsEngine, source, ...policy, ...data, evalRows, scorer };
  } catch (error) {
    if (ownsEngine) engine.dispose();
    throw error;
  }
}

export function closeSession({ engine, ownsEngine, model, reference }: Session): void {
  reference?.dispose();
  model.dispose();
  if (ownsEngine) engine.dispose();
}

async function asReward(reward: ResolvedOptions["rewards"][number]) {
  return typeof reward === "string" ? loadReward(reward) : reward;
}
