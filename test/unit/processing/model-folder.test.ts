import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { presets } from "../../../lib/config/index.js";
import { copyModelFiles, loadImageSettings, prepareModelFolder, Tokenizer } from "../../../lib/processing/index.js";
import { goldenPath } from "../../support/golden.js";
import { makeQwenFolder } from "../../support/qwen.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();
const FOOD = goldenPath("../../examples/food/tokenizer");
const QWEN = join(folder, "qwen");
const SMALL = { model_type: "qwen2_5_vl", hidden_size: 8 };

beforeAll(() => void makeQwenFolder(QWEN));

const readConfig = (path: string) => JSON.parse(readFileSync(join(path, "config.json"), "utf8"));

let made = 0;
async function prepare(config: Record<string, unknown>, tokenizer = FOOD, more = {}) {
  const out = join(folder, `made-${made++}`);
  await prepareModelFolder({ config, tokenizer, out, ...more });
  return { out, config: readConfig(out) };
}

describe("prepareModelFolder", () => {
  test("puts Qwen's own token ids into a published architecture, and keeps its larger vocabulary", async () => {
    for (const [name, rows] of [
      ["qwen2.5-vl-3b", 151936],
      ["qwen2-vl-7b", 152064],
    ] as const) {
      const { config } = await prepare(presets[name]?.config as Record<string, unknown>, QWEN, { dtype: "bf16" });
      expect(config).toMatchObject({
        ...{ vocab_size: rows, bos_token_id: 151643, eos_token_id: 151645, torch_dtype: "bfloat16" },
        ...{ image_token_id: 151655, video_token_id: 151656, vision_token_id: 151654 },
        ...{ vision_start_token_id: 151652, vision_end_token_id: 151653 },
      });
    }
  });

  test("takes the tokenizer's size where none is stated or the stated one is too small", async () => {
    const { vocabSize } = await Tokenizer.load(FOOD);
    expect((await prepare(SMALL)).config.vocab_size).toBe(vocabSize);
    expect((await prepare({ ...SMALL, vocab_size: vocabSize - 1 })).config.vocab_size).toBe(vocabSize);
    expect((await prepare({ ...SMALL, vocab_size: vocabSize })).config.vocab_size).toBe(vocabSize);
    const nested = { model_type: "qwen2_5_vl", text_config: { vocab_size: 5000, hidden_size: 8 } };
    expect((await prepare(nested)).config.text_config).toMatchObject({ vocab_size: 5000, hidden_size: 8 });
    expect((await prepare({ ...nested, text_config: {} })).config.text_config.vocab_size).toBe(vocabSize);
  });

  test("names the family's processor in settings that come from another family's folder", async () => {
    for (const [type, name] of [
      ["qwen2_vl", "Qwen2VLProcessor"],
      ["qwen2_5_vl", "Qwen2_5_VLProcessor"],
    ] as const) {
      const { out } = await prepare({ ...SMALL, model_type: type }, QWEN);
      const classes = ["preprocessor_config.json", "tokenizer_config.json"].map((file) => {
        const fields = JSON.parse(readFileSync(join(out, file), "utf8"));
        expect(Object.keys(fields).length).toBeGreaterThan(3);
        return fields.processor_class;
      });
      expect(new Set(classes.filter((value) => value !== undefined))).toEqual(new Set([name]));
    }
  });

  test("writes settings that a bare tokenizer folder lacks", async () => {
    const bare = join(folder, "bare");
    mkdirSync(bare);
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      writeFileSync(join(bare, name), readFileSync(join(FOOD, name)));
    }
    const { out } = await prepare({ ...SMALL, model_type: "qwen2_vl" }, bare);
    expect(await loadImageSettings(out)).toMatchObject({ minPixels: 3136, maxPixels: 1003520, patchSize: 14 });
    const text = readFileSync(join(out, "preprocessor_config.json"), "utf8");
    expect(JSON.parse(text)).toMatchObject({ processor_class: "Qwen2VLProcessor" });
    expect(JSON.parse(readFileSync(join(out, "generation_config.json"), "utf8")).eos_token_id).toHaveLength(2);
  });
});

describe("copyModelFiles", () => {
  const FILES = [
    ...["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"],
    ...["merges.txt", "generation_config.json", "preprocessor_config.json", "video_preprocessor_config.json"],
    ...["processor_config.json", "chat_template.json", "chat_template.jinja", "chat_template_tools.jinja"],
    ...["additional_chat_templates/tool_use.jinja", "additional_chat_templates/rag.jinja"],
  ];
  const OTHERS = ["model.safetensors", "config.json", "README.md", "additional_chat_templates/notes.txt", "chat.jinja"];

  test("takes along all that belongs to tokenizer, templates and processors, and nothing else", async () => {
    const from = join(folder, "from");
    for (const name of [...FILES, ...OTHERS]) {
      mkdirSync(dirname(join(from, name)), { recursive: true });
      writeFileSync(join(from, name), `the text of ${name}`);
    }
    const to = join(folder, "to", "deep");
    await copyModelFiles(from, to);
    const there = readdirSync(to, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(there).toHaveLength(FILES.length);
    for (const name of FILES) expect(readFileSync(join(to, name), "utf8")).toBe(`the text of ${name}`);
    await copyModelFiles(to, to);
    expect(readdirSync(to)).toHaveLength(14);
  });
});
