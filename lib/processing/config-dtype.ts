import type { SaveDType } from "../engine/index.js";

const DTYPE_NAMES: Readonly<Record<SaveDType, string>> = { f32: "float32", bf16: "bfloat16", f16: "float16" };
const DTYPES: Readonly<Record<string, SaveDType>> = { float32: "f32", bfloat16: "bf16", float16: "f16" };

/** A config.json's fields. */
type Config = Readonly<Record<string, unknown>>;

/** The type that a config.json names; f32 where it names none. */
export function dtypeOf(config: Config): SaveDType {
  return DTYPES[String(config.dtype ?? config.torch_dtype)] ?? "f32";
}

/** transformers loads weights in the type that config.json names, under the key that its version knows. */
export function withDtype(config: Config, dtype: SaveDType): Config {
  const key = "dtype" in config ? "dtype" : "torch_dtype";
  const out: Record<string, unknown> = { ...config, [key]: DTYPE_NAMES[dtype] };
  for (const [name, part] of Object.entries(config)) {
    if (typeof part !== "object" || part === null || Array.isArray(part)) continue;
    const nested = ["dtype", "torch_dtype"].find((candidate) => candidate in part);
    if (nested !== undefined) out[name] = { ...part, [nested]: DTYPE_NAMES[dtype] };
  }
  return out;
}
