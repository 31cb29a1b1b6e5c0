import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type AdapterSpec, type ModelSource, readAdapter } from "../adapters/index.js";
import { presets } from "../config/index.js";
import type { Engine, ModelDescription, SaveDType } from "../engine/index.js";
import { INDEX_FILE, SINGLE_FILE, shardNames } from "../hub/files.js";
import {
  DEFAULT_PIXELS,
  dtypeOf,
  loadImageSettings,
  readModelConfigText,
  readSafetensorsHeader,
} from "../processing/index.js";
import type { PixelLimits } from "./prompt-sizes.js";

/** What an estimate needs of a model; its weights are not read. */
export interface EstimatedModel {
  /** The text of a config.json, and what the engine reads in it. */
  modelConfig: string;
  description: ModelDescription;
  /** Type of the checkpoint's weights. */
  storedDtype: SaveDType;
  /** The adapter that the run starts from. */
  adapter: AdapterSpec | undefined;
  /** The model's own; a configuration's win. */
  limits: PixelLimits;
}

/** What presets leave to their tokenizer, as Qwen's has it. */
const QWEN_VOCABULARY = {
  vocab_size: 151936,
  image_token_id: 151655,
  video_token_id: 151656,
  vision_start_token_id: 151652,
  vision_end_token_id: 151653,
};

const DTYPES: Readonly<Record<string, SaveDType>> = { F32: "f32", F64: "f32", BF16: "bf16", F16: "f16" };

export async function estimatedModel(
  engine: Engine,
  { directory, adapter }: Pick<ModelSource, "directory" | "adapter">,
): Promise<EstimatedModel> {
  const modelConfig = await readModelConfigText(directory);
  const description = engine.describeModel(modelConfig);
  const stored = adapter === undefined ? undefined : await readAdapter(adapter, description);
  return {
    modelConfig,
    description,
    storedDtype: await storedDtype(directory, modelConfig),
    adapter: stored?.spec,
    limits: await loadImageSettings(directory),
  };
}

/** An architecture by name, as if its checkpoint held bf16, as the published ones do. */
export function estimatedPreset(engine: Engine, name: string): EstimatedModel {
  const modelConfig = JSON.stringify({ ...QWEN_VOCABULARY, ...presets[name]?.config });
  const description = engine.describeModel(modelConfig);
  return { modelConfig, description, storedDtype: "bf16", adapter: undefined, limits: DEFAULT_PIXELS };
}

/** By the largest part of the first weight file; as config.json says where no weights are there yet. */
async function storedDtype(directory: string, modelConfig: string): Promise<SaveDType> {
  const file = await firstWeightFile(directory);
  if (file === undefined) return dtypeOf(JSON.parse(modelConfig) as Record<string, unknown>);
  const elements = new Map<SaveDType, number>();
  for (const { dtype, shape } of (await readSafetensorsHeader(file)).values()) {
    const stored = DTYPES[dtype];
    if (stored === undefined) continue;
    elements.set(stored, (elements.get(stored) ?? 0) + shape.reduce((a, b) => a * b, 1));
  }
  const [largest] = [...elements].sort(([, a], [, b]) => b - a);
  return largest?.[0] ?? "f32";
}

async function firstWeightFile(directory: string): Promise<string | undefined> {
  const single = join(directory, SINGLE_FILE);
  const index = await readFile(join(directory, INDEX_FILE), "utf8").catch(() => undefined);
  const [shard] = (index === undefined ? undefined : shardNames(index)) ?? [];
  for (const path of [single, ...(shard === undefined ? [] : [join(directory, shard)])]) {
    if (await isThere(path)) return path;
  }
  return undefined;
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
