import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fromSystem, VlmR1Error } from "../errors/index.js";

export type ModelConfig = Record<string, unknown>;

/** The text of a model's config.json. */
export async function readModelConfigText(directory: string): Promise<string> {
  const path = join(resolve(directory), "config.json");
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const hint = "A model's folder holds config.json, tokenizer.json and the weights.";
    throw fromSystem(error, "read the model's configuration", path, hint);
  }
}

export async function readModelConfig(directory: string): Promise<ModelConfig> {
  const text = await readModelConfigText(directory);
  try {
    return JSON.parse(text) as ModelConfig;
  } catch (cause) {
    const path = join(directory, "config.json");
    throw new VlmR1Error("ERR_CONFIG", `${path}: not valid JSON: ${(cause as Error).message}`, { cause });
  }
}
