import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadGenerationDefaults, resolveSampling, Tokenizer } from "../../../lib/processing/index.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

async function load(files: Record<string, unknown>) {
  const folder = temporaryFolder();
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    copyFileSync(goldenPath(`qwen2_5_vl_a/${name}`), join(folder, name));
  }
  for (const [name, value] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(value));
  return loadGenerationDefaults(folder, await Tokenizer.load(folder));
}

const TOKENIZER_EOS = 310;

it("reads end tokens as a number and as a list, and adds the tokenizer's", async () => {
  expect((await load({ "generation_config.json": { eos_token_id: 5 } })).stopTokens).toEqual([5, TOKENIZER_EOS]);
  const list = { "generation_config.json": { eos_token_id: [TOKENIZER_EOS, 309] } };
  expect((await load(list)).stopTokens).toEqual([TOKENIZER_EOS, 309]);
});

it("falls back to config.json, flat and nested", async () => {
  expect((await load({ "config.json": { eos_token_id: 7 } })).stopTokens).toEqual([7, TOKENIZER_EOS]);
  expect((await load({ "config.json": { text_config: { eos_token_id: 8 } } })).stopTokens).toEqual([8, TOKENIZER_EOS]);
});

it("samples only where the folder says so, and always applies its repetition penalty", async () => {
  const fields = { temperature: 0.5, top_k: 3, top_p: 0.9, repetition_penalty: 1.05 };
  const greedy = await load({ "generation_config.json": { ...fields, do_sample: false } });
  expect(greedy).toMatchObject({ temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1.05 });
  const sampled = await load({ "generation_config.json": { ...fields, do_sample: true } });
  expect(sampled).toMatchObject({ temperature: 0.5, topK: 3, topP: 0.9, minP: 0 });
});

it("lets the caller win, where the caller said something", async () => {
  const defaults = await load({ "generation_config.json": { do_sample: true, temperature: 0.5, top_p: 0.9 } });
  const sampling = resolveSampling(defaults, { temperature: 0, topP: undefined, maxNewTokens: 9 });
  expect(sampling).toMatchObject({ temperature: 0, topP: 0.9, maxNewTokens: 9, stopTokens: [TOKENIZER_EOS] });
});
