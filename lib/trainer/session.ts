import { resolve } from "node:path";
import { type AdapterIdentity, describeFolder, loraArgs, readAdapter, resolveModelSource } from "../adapters/index.js";
import { describeProblem, loadConversations, type Row } from "../data/datasets/index.js";
import { Engine, type Model } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { Processor } from "../processing/index.js";
import { loadReward } from "../rewards/index.js";
import { nameRewards } from "../rewards/named.js";
import { Scorer } from "../rewards/score.js";
import type { ResolvedOptions } from "./options.js";
import { adapterOff, type Reference } from "./reference.js";
import { resolveTrainable } from "./trainable.js";

/** Everything that a run holds open. */
export interface Session {
  engine: Engine;
  ownsEngine: boolean;
  processor: Processor;
  model: Model;
  /** The adapter that is trained; undefined where the model's own weights are. */
  adapter: AdapterIdentity | undefined;
  /** Where the objective needs one. */
  reference: Reference | undefined;
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
  const { device, threads, isa } = config;
  const engine = options.engine ?? (await Engine.open({ device, threads, isa }));
  const ownsEngine = options.engine === undefined;
  try {
    const policy = await openPolicy(options, engine, signal);
    return { engine, ownsEngine, ...policy, rows, evalRows, scorer };
  } catch (error) {
    if (ownsEngine) engine.dispose();
    throw error;
  }
}

/** The model that is trained, and what it is compared with. */
async function openPolicy(
  options: ResolvedOptions,
  engine: Engine,
  signal: AbortSignal | undefined,
): Promise<Pick<Session, "processor" | "model" | "adapter" | "reference">> {
  const { config } = options.plan;
  const { minPixels, maxPixels, alpha, precision, gradientCheckpointing, seed } = config;
  const source = await resolveModelSource(config.model, config.adapter);
  const { directory } = source;
  const description = await describeFolder(engine, directory);
  const stored = source.adapter === undefined ? undefined : await readAdapter(source.adapter, description);
  const trainable = resolveTrainable({ ...config, adapter: source.adapter }, description, stored?.spec);
  const processor = await Processor.load(directory, engine, { minPixels, maxPixels, alpha });
  const load = { precision, gradientCheckpointing, signal };
  if (trainable.train === "full") {
    const model = await engine.loadModel(directory, { ...load, train: "full", frozen: trainable.frozen });
    const reference = needsReference(options) ? await engine.loadModel(directory, { precision, signal }) : undefined;
    return { processor, model, adapter: undefined, reference };
  }
  const { adapter: spec } = trainable;
  const lora = loraArgs(spec, { weights: stored?.weights ?? "", seed });
  const model = await engine.loadModel(directory, { ...load, train: "lora", lora });
  const adapter = { spec, description, baseModel: resolve(directory) };
  return { processor, model, adapter, reference: needsReference(options) ? adapterOff(model) : undefined };
}

export function closeSession({ engine, ownsEngine, model, reference }: Session): void {
  reference?.dispose();
  model.dispose();
  if (ownsEngine) engine.dispose();
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
