// Learns the starter model's tokenizer from the food data set's texts and writes its folder.
// Usage: node scripts/food/make-tokenizer.mjs
import { mkdirSync, writeFileSync } from "node:fs";
import { characterMerges, learnMerges, toSymbols } from "./bpe.mjs";
import { charactersBeyondAscii, countWords } from "./corpus.mjs";
import { readFoods } from "./foods.mjs";
import { tokenizerFiles } from "./tokenizer-files.mjs";

/** A name stands twice in its answer; what is rarer than that is not worth a row of weights. */
const MIN_COUNT = 2;
/** Longest Chinese token in characters: words, not whole sentences. */
const MAX_CHINESE = 4;

const example = new URL("../../examples/food/", import.meta.url);
const folder = new URL("tokenizer/", example);

const words = countWords(readFoods(new URL("food.csv", example)));
const merges = learnMerges(words, {
  seed: characterMerges(charactersBeyondAscii(words)),
  minCount: MIN_COUNT,
  allowed: (token) => isAscii(token) || token.length <= MAX_CHINESE * toSymbols("食").length,
});

mkdirSync(folder, { recursive: true });
for (const [name, content] of Object.entries(tokenizerFiles(merges))) {
  writeFileSync(new URL(name, folder), `${JSON.stringify(content, null, 2)}\n`);
}
console.log(`tokenizer: ${merges.length} merges`);

/** In byte symbols: letters and marks, or "Ġ" and "Ċ" for a space and a line end. */
function isAscii(token) {
  return /^[!-~ĠĊ]*$/.test(token);
}
