import { z } from "zod";
import type { SamplingArgs } from "../engine/index.js";
import { readJson } from "./json-file.js";
import type { Tokenizer } from "./tokenizer.js";

const Ids = z.union([z.int(), z.array(z.int())]).nullish();

const GenerationFile = z.looseObject({
  eos_token_id: Ids,
  do_sample: z.boolean().nullish(),
  temperature: z.number().min(0).nullish(),
  top_k: z.int().min(0).nullish(),
  top_p: z.number().nullish(),
  min_p: z.number().nullish(),
  repetition_penalty: z.number().gt(0).nullish(),
});

const ModelFile = z.looseObject({ eos_token_id: Ids, text_config: z.looseObject({ eos_token_id: Ids }).optional() });

/** How a model's folder says that it wants to be sampled from. */
export interface GenerationDefaults {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  /** Ids that end a completion: of generation_config.json (else config.json) and the tokenizer's own. */
  stopTokens: number[];
}

/** What transformers takes where a folder asks for sampling and says no more. */
const DEFAULT_TOP_K = 50;
/** The engine divides by nothing smaller. Published Qwen2.5-VL folders say 1e-6, and mean the likeliest token. */
const LEAST_TEMPERATURE = 1e-4;

/** As in transformers, a folder that does not ask for sampling is decoded greedily. */
export async function loadGenerationDefaults(directory: string, tokenizer: Tokenizer): Promise<GenerationDefaults> {
  const file = await readJson(directory, "generation_config.json", GenerationFile);
  const model = file?.eos_token_id == null ? await readJson(directory, "config.json", ModelFile) : undefined;
  const ids = [file?.eos_token_id, model?.eos_token_id, model?.text_config?.eos_token_id, tokenizer.eosTokenId];
  const temperature = file?.temperature ?? 1;
  const sampled = file?.do_sample === true && temperature >= LEAST_TEMPERATURE;
  return {
    temperature: sampled ? temperature : 0,
    topK: sampled ? (file.top_k ?? DEFAULT_TOP_K) : 0,
    topP: sampled ? (file.top_p ?? 1) : 1,
    minP: sampled ? (file.min_p ?? 0) : 0,
    repetitionPenalty: file?.repetition_penalty ?? 1,
    stopTokens: [...new Set(ids.flat().filter((id) => typeof id === "number"))],
  };
}

/** What the caller set over what the folder says. */
export function resolveSampling(
  defaults: GenerationDefaults,
  given: { [K in keyof SamplingArgs]?: SamplingArgs[K] | undefined },
): SamplingArgs {
  const out: SamplingArgs = { ...defaults, maxNewTokens: 256 };
  for (const [key, value] of Object.entries(given)) if (value !== undefined) Object.assign(out, { [key]: value });
  return out;
}
