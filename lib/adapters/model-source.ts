import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Engine, ModelDescription } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { type FetchOptions, resolveModel, snapshotCommit } from "../hub/index.js";
import { readModelConfigText } from "../processing/index.js";
import { CHECKPOINTS_FOLDER, RUN_FILE } from "../report/run-files.js";
import { ADAPTER_CONFIG, readPeftConfig } from "./peft-config.js";
import { readAdapter, type StoredAdapter } from "./read-adapter.js";

/** Folders or hub names. */
export interface ModelNames {
  /** May be an adapter, which names the model that it belongs to. */
  model: string;
  /** Of `model`, where that is a hub name. */
  revision?: string | undefined;
  adapter?: string | undefined;
}

/** Where weights come from. */
export interface ModelSource {
  /** A Hugging Face folder. */
  directory: string;
  /** A folder in PEFT's format that is put on it. */
  adapter: string | undefined;
  /** Names that lead to the same weights for ever: folders as they were given, hub names with their commits. */
  names: ModelNames;
}

/** A folder with the name that led to it. */
interface Found {
  name: string;
  folder: string;
  /** Of a hub name. */
  commit: string | undefined;
}

/** Finds a model and its adapter, and fetches what only the hub has. */
export async function resolveModelSource(names: ModelNames, fetching: FetchOptions = {}): Promise<ModelSource> {
  const model = await find(names.model, names.revision, fetching);
  if (!isAdapterFolder(model.folder)) {
    const adapter = names.adapter === undefined ? undefined : await find(names.adapter, undefined, fetching);
    return sourceOf(model, adapter);
  }
  if (names.adapter !== undefined) {
    throw new VlmR1Error("ERR_CONFIG", `model: ${names.model} is an adapter, and adapter is given too`, {
      hint: "Give the base model as model; one adapter can be used at a time.",
    });
  }
  return sourceOf(await findBase(model, fetching), model);
}

async function find(name: string, revision: string | undefined, fetching: FetchOptions): Promise<Found> {
  const folder = await resolveModel(name, { ...fetching, revision });
  refuseRun(folder);
  if (folder === name) return { name, folder, commit: undefined };
  return { name: name.split("@")[0] as string, folder, commit: snapshotCommit(folder) };
}

/** A run's folder has models in it and is none. */
function refuseRun(folder: string): void {
  const checkpoints = join(folder, CHECKPOINTS_FOLDER);
  if (!existsSync(join(folder, RUN_FILE)) || !existsSync(checkpoints)) return;
  const newest = readdirSync(checkpoints)
    .filter((name) => name.startsWith("step-"))
    .sort()
    .at(-1);
  throw new VlmR1Error("ERR_MODEL", `${folder} is the folder of a run, not of a model`, {
    hint: newest === undefined ? "It holds no checkpoint." : `Its newest is ${weightsOf(join(checkpoints, newest))}.`,
  });
}

function weightsOf(checkpoint: string): string {
  const adapter = join(checkpoint, "adapter");
  return existsSync(adapter) ? adapter : checkpoint;
}

async function findBase(adapter: Found, fetching: FetchOptions): Promise<Found> {
  const { base_model_name_or_path: name, revision } = await readPeftConfig(adapter.folder);
  const base = typeof name === "string" ? await findIfThere(name, revision ?? undefined, fetching) : undefined;
  if (base !== undefined && existsSync(join(base.folder, "config.json"))) return base;
  const message = `${adapter.name} is an adapter of ${name ?? "an unnamed model"}, which is not there`;
  throw new VlmR1Error("ERR_MODEL", message, { hint: `Give both: --model BASE --adapter ${adapter.name}` });
}

async function findIfThere(
  name: string,
  revision: string | undefined,
  fetching: FetchOptions,
): Promise<Found | undefined> {
  try {
    // Other writers give folders a revision too, which means nothing.
    return await find(name, existsSync(name) ? undefined : revision, fetching);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "ERR_NOT_FOUND" || code === "ERR_OFFLINE") return undefined;
    throw error;
  }
}

function sourceOf(model: Found, adapter: Found | undefined): ModelSource {
  const pinned = adapter?.commit === undefined ? adapter?.name : `${adapter.name}@${adapter.commit}`;
  return {
    directory: model.folder,
    adapter: adapter?.folder,
    names: { model: model.name, revision: model.commit, adapter: pinned },
  };
}

function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, ADAPTER_CONFIG)) && !existsSync(join(folder, "config.json"));
}

/** The parameters of a model's folder. */
export async function describeFolder(engine: Engine, directory: string): Promise<ModelDescription> {
  return engine.describeModel(await readModelConfigText(directory));
}

/** The adapter of a source, checked against its model; undefined where it has none. */
export async function openStoredAdapter(
  engine: Engine,
  source: Pick<ModelSource, "directory" | "adapter">,
): Promise<StoredAdapter | undefined> {
  if (source.adapter === undefined) return undefined;
  return readAdapter(source.adapter, await describeFolder(engine, source.directory));
}
