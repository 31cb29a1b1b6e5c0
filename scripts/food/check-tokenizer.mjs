// Checks the starter's tokenizer against the data set: round trips, and how long texts become.
// Usage: node scripts/food/check-tokenizer.mjs
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";

/** Merged visual tokens of a 112-pixel picture. */
const IMAGE_TOKENS = 16;

const ODD_TEXTS = [
  "🍎🍏 👩‍🍳 🇨🇳",
  "鱻龘𠮷 漢字 かな 한국어 العربية ไทย",
  "  two  spaces\t\ttabs \n\n\r\n lines ",
  'for (let i = 0; i < 10; i++) { console.log(i, "\\n"); } // code',
  "1,234.5 kcal / 100 g ≈ 5,165 kJ ½ ５２千卡",
  "naïve Übergröße Ελλάδα Привет don't WE'LL",
  "<think></think><answer></answer><b>\u0000\u001f",
];

const example = new URL("../../examples/food/", import.meta.url);
const read = (path) => JSON.parse(readFileSync(new URL(path, example), "utf8"));
const config = read("tokenizer/tokenizer_config.json");
const tokenizer = new Tokenizer(read("tokenizer/tokenizer.json"), config);
const template = new Template(config.chat_template);
const rows = ["sft.json", "train.json", "test.json"].flatMap(read);

for (const text of ODD_TEXTS) roundTrip(text);
const lengths = { prompt: [], answer: [], name: [] };
for (const { conversations } of rows) {
  const [question, answer] = conversations.map((turn) => turn.value);
  lengths.prompt.push(roundTrip(renderPrompt(question)).length - 1 + IMAGE_TOKENS);
  lengths.answer.push(roundTrip(`${answer}<|im_end|>`).length);
  lengths.name.push(roundTrip(answer.match(/<answer>(.*) \d/)[1]).length);
}
for (const [what, counts] of Object.entries(lengths)) report(what, counts);

/** Encodes and decodes; returns the ids. */
function roundTrip(text) {
  const { ids } = tokenizer.encode(text);
  const decoded = tokenizer.decode(ids, {
    skip_special_tokens: false,
    clean_up_tokenization_spaces: false,
  });
  assert.equal(decoded, text.normalize("NFC"));
  return ids;
}

function renderPrompt(question) {
  const content = [{ type: "image" }, { type: "text", text: question.replace("<image>", "") }];
  return template.render({ messages: [{ role: "user", content }], add_generation_prompt: true });
}

function report(what, counts) {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  console.log(`${what}: ${Math.min(...counts)}–${Math.max(...counts)} tokens, mean ${mean.toFixed(1)}`);
}
