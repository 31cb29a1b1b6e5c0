import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CallOptions, Model, SaveDType } from "../engine/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { copyModelFiles } from "../processing/index.js";

const DTYPE_NAMES: Readonly<Record<SaveDType, string>> = { f32: "float32", bf16: "bfloat16", f16: "float16" };
const DTYPES: Readonly<Record<string, SaveDType>> = { float32: "f32", bfloat16: "bf16", float16: "f16" };

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

function dtypeOf(config: Config): SaveDType {
  return DTYPES[String(config.dtype ?? config.torch_dtype)] ?? "f32";
}

/** transformers loads weights in the type that config.json names, under the key that its version knows. */
function withDtype(config: Config, dtype: SaveDType): Config {
  const key = "dtype" in config ? "dtype" : "torch_dtype";
  const out: Config = { ...config, [key]: DTYPE_NAMES[dtype] };
  for (const [name, part] of Object.entries(config)) {
    if (typeof part !== "object" || part === null || Array.isArray(part)) continue;
    const nested = ["dtype", "torch_dtype"].find((candidate) => candidate in part);
    if (nested !== undefined) out[name] = { ...part, [nested]: DTYPE_NAMES[dtype] };
  }
  return out;
}
