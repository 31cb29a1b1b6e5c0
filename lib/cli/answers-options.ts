import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { toSnake } from "../config/names.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { replaceJson } from "../files/index.js";
import { changedOptions } from "../trainer/resume-options.js";
import type { OpenOptions } from "./open.js";
import type { EvaluatingConfig } from "./run-evaluation.js";

/** By their names in files. */
export type AnswersOptions = Readonly<Record<string, unknown>>;

/**
 * What an answer depends on beside its row: another model or option would give others. Threads, devices and the size of
 * a batch are not among it: an evaluation may go on elsewhere.
 */
export function answersOptions(model: OpenOptions, config: EvaluatingConfig): AnswersOptions {
  const { evalTemperature } = config;
  const options = {
    model: placeOf(model.model),
    revision: model.revision,
    adapter: model.adapter === undefined ? undefined : placeOf(model.adapter),
    precision: model.precision,
    minPixels: model.minPixels,
    maxPixels: model.maxPixels,
    alpha: model.alpha,
    promptSuffix: config.promptSuffix,
    maxCompletionLength: config.maxCompletionLength,
    evalTemperature,
    numGenerationsEval: config.numGenerationsEval,
    // Greedy answers are the same with any.
    seed: evalTemperature === 0 ? undefined : config.seed,
    rewards: config.rewards,
    rewardWeights: config.rewardWeights,
  };
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [toSnake(name), value ?? null]));
}

/** A folder is the same by any path; a hub's name stays one. */
function placeOf(name: string): string {
  return existsSync(name) ? resolve(name) : name;
}

/** The file beside the answers that says how they were made. */
export function optionsPath(answers: string): string {
  return `${answers}.options.json`;
}

export async function writeOptions(answers: string, options: AnswersOptions): Promise<void> {
  await replaceJson(optionsPath(answers), options, { what: "write the options of the answers to" });
}

/**
 * Throws `ERR_DATA` where the answers were made with other options. False where nothing says how they were made, as of
 * answers that were copied from elsewhere.
 */
export async function checkOptions(answers: string, options: AnswersOptions): Promise<boolean> {
  const path = optionsPath(answers);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw fromSystem(error, "read the options of the answers", path);
  }
  const { refused, told } = changedOptions(parsed(text, path), options);
  const changed = [...refused, ...told];
  if (changed.length === 0) return true;
  throw new VlmR1Error("ERR_DATA", `the answers in ${answers} were made with other options: ${changed.join("; ")}`, {
    hint: "Go on with the model and options that they began with, or write to another file.",
  });
}

function parsed(text: string, path: string): AnswersOptions {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const hint = "Remove it to go on without the check of the options.";
    throw new VlmR1Error("ERR_DATA", `${path}: not valid JSON: ${(cause as Error).message}`, { hint, cause });
  }
  return typeof value === "object" && value !== null ? { ...value } : {};
}
