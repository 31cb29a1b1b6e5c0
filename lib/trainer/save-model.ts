import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CallOptions, Model, SaveDType } from "../engine/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { copyModelFiles, dtypeOf, withDtype } from "../processing/index.js";

type Config = Record<string, unknown>;

/** Writes a folder that transformers loads: weights, config.json with their type, tokenizer and processor files. */
export async function saveModelFolder(
  model: Model,
  target: string,
  dtype: SaveDType | "auto",
  { signal }: CallOptions = {},
): Promise<void> {
  const config = await readConfig(model.directory);
  const chosen = dtype === "auto" ? dtypeOf(config) : dtype;
  await copyModelFiles(model.directory, target);
  await model.save(target, { what: "model", dtype: chosen, signal });
  await writeFile(join(target, "config.json"), `${JSON.stringify(withDtype(config, chosen), null, 2)}\n`);
}

async function readConfig(directory: string): Promise<Config> {
  const path = join(directory, "config.json");
  try {
    return JSON.parse(await readFile(path, "utf8")) as Config;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fromSystem(error, "read the model's configuration", path);
    throw new VlmR1Error("ERR_CONFIG", `${path}: not valid JSON: ${error.message}`, { cause: error });
  }
}
