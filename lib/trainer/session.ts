import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describeProblem, loadConversations, type Row } from "../data/datasets/index.js";
import { Engine, type Model } from "../engine/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { Processor } from "../processing/index.js";
import { loadReward } from "../rewards/index.js";
import { nameRewards } from "../rewards/named.js";
import { Scorer } from "../rewards/score.js";
import type { ResolvedOptions } from "./options.js";

/** Everything that a run holds open. */
export interface Session {
  engine: Engine;
  ownsEngine: boolean;
  processor: Processor;
  model: Model;
  /** Where the objective needs one. */
  reference: Model | undefined;
  rows: readonly Row[];
  /** Undefined where no held-out data was named. */
  evalRows: readonly Row[] | undefined;
  scorer: Scorer;
}

/** What is cheap to check comes first: a misspelt reward or file fails before gigabytes of weights are read. */
export async function openSession(
  options: ResolvedOptions,
  warn: (message: string) => void,
  signal: AbortSignal | undefined,
): Promise<Session> {
  const { config } = options.plan;
  const scorer = new Scorer(nameRewards(await Promise.all(options.rewards.map(asReward))));
  const rows = options.rows ?? (await loadRows(config.dataset, config.imageFolders, warn, signal));
  const evalRows = await loadEvalRows(options, warn, signal);
  const { device, threads, isa, minPixels, maxPixels, alpha } = config;
  const engine = options.engine ?? (await Engine.open({ device, threads, isa }));
  const ownsEngine = options.engine === undefined;
  try {
    const processor = await Processor.load(config.model, engine, { minPixels, maxPixels, alpha });
    const model = await engine.loadModel(config.model, {
      train: "full",
      frozen: config.freezeVisionModules ? await visionParameters(engine, config.model) : [],
      gradientCheckpointing: config.gradientCheckpointing,
      signal,
    });
    const reference = needsReference(options) ? await engine.loadModel(config.model, { signal }) : undefined;
    return { engine, ownsEngine, processor, model, reference, rows, evalRows, scorer };
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

async function visionParameters(engine: Engine, directory: string): Promise<string[]> {
  const path = join(directory, "config.json");
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw fromSystem(error, "read the model's configuration", path);
  });
  return engine.describeModel(text).parameters.flatMap(({ name, part }) => (part === "language" ? [] : [name]));
}

function needsReference({ plan }: ResolvedOptions): boolean {
  return plan.objective === "grpo" && plan.config.beta > 0;
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
