import { existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ADAPTER_CONFIG } from "../adapters/peft-config.js";
import type { CompareConfig } from "../config/compare-schema.js";
import { usageError, VlmR1Error } from "../errors/index.js";
import { AFTER_FILE, BEFORE_FILE } from "../report/run-files.js";
import { ADAPTER_FOLDER, listCheckpoints } from "../trainer/index.js";
import type { OpenOptions } from "./open.js";

/** One of the two that are compared: an evaluation that is there, or a model to be evaluated. */
export type Compared = { kind: "record"; label: string; path: string } | ComparedModel;

export interface ComparedModel {
  kind: "model";
  label: string;
  options: OpenOptions;
}

type Config = Pick<CompareConfig, "dataset" | "baseModel"> & Omit<OpenOptions, "model" | "adapter" | "profile">;

/** What the arguments name; throws `ERR_USAGE` where that cannot be compared. */
export async function comparedOf(
  first: string,
  second: string | undefined,
  config: Config,
): Promise<[Compared, Compared]> {
  if (second !== undefined) {
    const labels = labelsOf(first, second);
    return [await compared(first, labels[0], config), await compared(second, labels[1], config)];
  }
  if (!isRun(first)) {
    throw usageError(
      `there is nothing to compare ${first} with`,
      "Give two of: a run's folder, a file of answers, a model's folder with --dataset; or one run's folder, for before and after.",
    );
  }
  if (config.dataset !== undefined) {
    throw usageError(
      `there is one to evaluate on the data set: ${first}`,
      "Give another run or model to compare it with.",
    );
  }
  return [
    { kind: "record", label: "before", path: inRun(first, BEFORE_FILE) },
    { kind: "record", label: "after", path: inRun(first, AFTER_FILE) },
  ];
}

async function compared(name: string, label: string, config: Config): Promise<Compared> {
  if (statSync(name, { throwIfNoEntry: false })?.isFile() === true) return { kind: "record", label, path: name };
  if (config.dataset === undefined && isRun(name)) return { kind: "record", label, path: inRun(name, AFTER_FILE) };
  if (config.dataset === undefined) {
    throw usageError(
      `${name} is neither a run's folder nor a file of answers`,
      "A model's or adapter's folder, or a hub name, is evaluated on the data that --dataset names.",
    );
  }
  const model = isRun(name) ? await modelOfRun(name) : name;
  const { baseModel, dataset, ...options } = config;
  const names = baseModel !== undefined && isAdapter(model) ? { model: baseModel, adapter: model } : { model };
  return { kind: "model", label, options: { ...options, ...names } };
}

/** A run of `train` or `sft`. */
function isRun(folder: string): boolean {
  return [BEFORE_FILE, AFTER_FILE, "run.json"].some((name) => existsSync(join(folder, name)));
}

export function isAdapter(folder: string): boolean {
  return existsSync(join(folder, ADAPTER_CONFIG)) && !existsSync(join(folder, "config.json"));
}

function inRun(folder: string, name: string): string {
  const path = join(folder, name);
  if (existsSync(path)) return path;
  throw new VlmR1Error("ERR_NOT_FOUND", `${folder} has no ${name}`, {
    hint:
      "A run writes it where it has held-out data (eval_dataset, val_split_ratio) and has come to its end. " +
      "Its newest checkpoint can be compared with a model: compare MODEL RUN --dataset DATA.",
  });
}

async function modelOfRun(folder: string): Promise<string> {
  const newest = (await listCheckpoints(folder)).at(-1);
  if (newest === undefined) throw new VlmR1Error("ERR_NOT_FOUND", `${folder} has no checkpoint to evaluate`);
  const adapter = join(newest.path, ADAPTER_FOLDER);
  return existsSync(adapter) ? adapter : newest.path;
}

/** Short ones where these differ. */
function labelsOf(first: string, second: string): [string, string] {
  const [one, two] = [basename(first), basename(second)];
  return one === two ? [first, second] : [one, two];
}
