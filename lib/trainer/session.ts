import { type ModelNames, type ModelSource, resolveModelSource } from "../adapters/index.js";
import { describeProblem, loadConversations, type Row } from "../data/datasets/index.js";
import { Engine } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { FetchOptions } from "../hub/index.js";
import type { Processor } from "../processing/index.js";
import { loadReward } from "../rewards/index.js";
import { nameRewards } from "../rewards/named.js";
import { Scorer } from "../rewards/score.js";
import { planMemory } from "./memory-plan.js";
import type { TokenBudget } from "./micro-batch-budget.js";
import type { ResolvedOptions } from "./options.js";
import { openPolicy, type Policy } from "./policy.js";

/** Everything that a run holds open. */
export interface Session extends Policy {
  engine: Engine;
  ownsEngine: boolean;
  source: ModelSource;
  rows: readonly Row[];
  /** Undefined where no held-out data was named. */
  evalRows: readonly Row[] | undefined;
  scorer: Scorer;
}

export interface OpenSessionOptions {
  names: ModelNames;
  budget: TokenBudget;
  warn: (message: string) => void;
  onDownload: FetchOptions["onProgress"];
  signal: AbortSignal | undefined;
}

/** What is cheap to check comes first: a misspelt reward or file fails before gigabytes of weights are read. */
export async function openSession(
  options: ResolvedOptions,
  { names, budget, warn, onDownload, signal }: OpenSessionOptions,
): Promise<Session> {
  const { config } = options.plan;
  const scorer = new Scorer(nameRewards(await Promise.all(options.rewards.map(asReward))));
  const rows = options.rows ?? (await loadRows(config.dataset, config.imageFolders, warn, signal));
  const evalRows = await loadEvalRows(options, warn, signal);
  if (options.plan.objective === "grpo") scorer.checkRows(rows, { augment: options.plan.config.augment });
  if (evalRows !== undefined) scorer.checkRows(evalRows);
  const source = await resolveModelSource(names, { signal, onProgress: onDownload, onNotice: warn });
  const { device, threads, isa } = config;
  const engine = options.engine ?? (await Engine.open({ device, threads, isa }));
  const ownsEngine = options.engine === undefined;
  try {
    const { plan } = options;
    const beforeLoading = (processor: Processor) =>
      planMemory({ engine, source, plan, budget, rows, warn, signal }, processor);
    const policy = await openPolicy(plan, source, engine, { signal, beforeLoading });
    return { engine, ownsEngine, source, ...policy, rows, evalRows, scorer };
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

async function loadEvalRows(
  { plan, evalRows }: ResolvedOptions,
  warn: (message: string) => void,
  signal: AbortSignal | undefined,
): Promise<readonly Row[] | undefined> {
  const { evalDataset, evalImageFolders } = plan.config;
  if (evalRows !== undefined || evalDataset === undefined) return evalRows;
  return loadRows(evalDataset, evalImageFolders, warn, signal);
}

async function loadRows(
  files: string,
  imageFolders: string[] | undefined,
  warn: (message: string) => void,
  signal: AbortSignal | undefined,
): Promise<Row[]> {
  const { rows, problems } = await loadConversations(files, { imageFolders, signal });
  for (const problem of problems) warn(`left out: ${describeProblem(problem)}`);
  if (rows.length === 0) throw new VlmR1Error("ERR_DATA", `${files}: expected at least one row, got none`);
  return rows;
}
