import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  ChatTemplate,
  loadGenerationDefaults,
  loadImageSettings,
  type Message,
  smartResize,
  Tokenizer,
} from "../../../lib/processing/index.js";
import { goldenJson, goldenPath } from "../../support/golden.js";
import { makeQwenFolder } from "../../support/qwen.js";
import { temporaryFolder } from "../../support/temporary.js";

type Files = Record<string, unknown>;

interface ImageCase {
  name: string;
  files: Files;
  error?: string;
  pictures?: { height: number; width: number; grid: [number, number, number]; patch: number }[];
  /** One pixel's value in each channel. */
  colour?: [number, number, number];
}

interface Effective {
  do_sample: boolean;
  temperature: number;
  top_k: number;
  top_p: number;
  min_p: number | null;
  repetition_penalty: number;
  eos_token_id: number | number[] | null;
}

interface Golden {
  colour: [number, number, number];
  images: ImageCase[];
  generation: { name: string; file: Files | null; effective: Effective }[];
  templates: { name: string; files: Files; template?: string | null; error?: string }[];
  prompts: {
    name: string;
    messages: Message[];
    add_generation_prompt: boolean;
    text: string;
    token_ids: number[];
  }[];
}

const golden = goldenJson<Golden>("layouts.json");
const folder = temporaryFolder();
let folders = 0;

/** A folder with these files, and what else a model's folder needs from the tiny golden model. */
function folderWith(files: Files, others: readonly string[] = []): string {
  const path = join(folder, String(folders++));
  for (const [name, value] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), typeof value === "string" ? value : JSON.stringify(value));
  }
  mkdirSync(path, { recursive: true });
  for (const name of others) {
    if (!existsSync(join(path, name))) copyFileSync(goldenPath(`qwen2_5_vl_a/${name}`), join(path, name));
  }
  return path;
}

const TOKENIZER = ["tokenizer.json", "tokenizer_config.json"];

describe("settings for pictures are read as transformers reads them", () => {
  test.each(golden.images)("$name", async ({ files, error, pictures = [], colour = [] }) => {
    const loading = loadImageSettings(folderWith(files));
    if (error !== undefined) {
      await expect(loading).rejects.toMatchObject({ code: "ERR_MODEL", message: expect.stringContaining("size") });
      return;
    }
    const settings = await loading;
    const factor = settings.patchSize * settings.mergeSize;
    for (const { height, width, grid, patch } of pictures) {
      const size = smartResize(width, height, { ...settings, factor });
      expect([1, size.height / settings.patchSize, size.width / settings.patchSize]).toEqual(grid);
      expect(3 * settings.temporalPatchSize * settings.patchSize ** 2).toBe(patch);
    }
    const { rescaleFactor, mean, std } = settings;
    for (const [c, expected] of colour.entries()) {
      const value = ((golden.colour[c] as number) * rescaleFactor - (mean[c] as number)) / (std[c] as number);
      expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(expected)));
    }
  });

  test("limits of all cases differ enough to tell them apart", () => {
    const distinct = new Set(golden.images.map(({ pictures }) => JSON.stringify(pictures)));
    expect(distinct.size).toBeGreaterThan(8);
  });
});

describe("generation settings are completed as generate() completes them", () => {
  test.each(golden.generation)("$name", async ({ file, effective }) => {
    const files = file === null ? { "config.json": { text_config: { eos_token_id: 9 } } } : {};
    const path = folderWith(file === null ? files : { "generation_config.json": file }, TOKENIZER);
    const ours = await loadGenerationDefaults(path, await Tokenizer.load(path));
    // 1e-6, as Qwen2.5-VL's folders have it, is greedy by another name, and less than the engine divides by.
    const sampled = effective.do_sample && effective.temperature >= 1e-4;
    expect(ours).toMatchObject({
      temperature: sampled ? effective.temperature : 0,
      topK: sampled ? effective.top_k : 0,
      topP: sampled ? effective.top_p : 1,
      minP: sampled ? (effective.min_p ?? 0) : 0,
      repetitionPenalty: effective.repetition_penalty,
    });
    // Ours end at the tokenizer's own end token too, also where a file names none.
    const ends = [effective.eos_token_id ?? []].flat();
    expect(ours.stopTokens).toEqual([...new Set([...ends, 310])]);
  });
});

describe("the chat template is looked for where transformers looks", () => {
  test.each(golden.templates)("$name", async ({ files, template, error }) => {
    const path = folderWith(files, TOKENIZER);
    const loading = Tokenizer.load(path).then((tokenizer) => ChatTemplate.load(path, tokenizer));
    if (template == null) {
      await expect(loading).rejects.toMatchObject({
        code: "ERR_TEMPLATE",
        message: expect.stringContaining(path),
        hint: expect.any(String),
      });
      expect(error !== undefined || template === null).toBe(true);
      return;
    }
    expect((await loading).render([{ role: "user", content: "" }])).toBe(template);
  });
});

test("prompts of Qwen's template and vocabulary are rendered and tokenized as in transformers", async () => {
  const qwen = join(folder, "qwen");
  makeQwenFolder(qwen);
  const tokenizer = await Tokenizer.load(qwen);
  const template = await ChatTemplate.load(qwen, tokenizer);
  expect(golden.prompts.length).toBeGreaterThanOrEqual(16);
  for (const { name, messages, add_generation_prompt: addGenerationPrompt, text, token_ids: ids } of golden.prompts) {
    expect(template.render(messages, { addGenerationPrompt }), name).toBe(text);
    expect(tokenizer.encode(text), name).toEqual(ids);
  }
});
