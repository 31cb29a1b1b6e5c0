import { ANSWERS, CATEGORIES, LANGUAGES, QUESTIONS } from "./conversations.mjs";

/**
 * Qwen2's pre-tokenizer: contractions, words with at most one leading mark, single digits,
 * punctuation, line ends, spaces.
 */
export const SPLIT_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

// JavaScript before 2025 has no (?i:…); the corpus has lower-case contractions only.
const splitter = new RegExp(SPLIT_PATTERN.replace("(?i:", "(?:"), "gu");

/** The frame of every conversation, and the wish for a format that others put behind a question. */
const FRAME = [
  "system\n",
  "user\n",
  "assistant\n",
  "You are a helpful assistant.",
  "First output the thinking process in tags and then output the final answer in tags.",
];

/** Frequent words, so that text beyond the data set does not fall apart into letters. */
const GENERAL_ENGLISH =
  "the of and to in is it that was for on are as with his they at be this from have or by one had " +
  "not but what all were when we there can an your which their said if do will each about how up " +
  "out them then she many some so these would other into has more her two like him see time could " +
  "no make than first been its who now people my made over did down only way find use may water " +
  "long little very after words called just where most know get through back much before go good " +
  "new write our used me man too any day same right look think also around another came come work " +
  "three word must because does part even place well such here take why help put different away " +
  "again off went old number great tell men say small every found still between name should";

/** Frequent characters, whole tokens each. */
const GENERAL_CHINESE =
  "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可" +
  "，。？！：；、（）《》“”";

/** General words count once, so that they shape what the data set leaves open and no more. */
const GENERAL_COUNT = 1;
/** How often the frame and the questions count, against once per food for its answers. */
const FRAME_COUNT = 200;

/**
 * Pre-tokens with their counts. Chinese has no spaces, so its texts are cut at the templates' slots:
 * no token reaches from the sentence into the name.
 * @param {import("./foods.mjs").Food[]} foods
 * @returns {Map<string, number>}
 */
export function countWords(foods) {
  const words = new Map();
  const add = (text, count) => {
    for (const word of text.match(splitter)) words.set(word, (words.get(word) ?? 0) + count);
  };
  for (const text of FRAME) add(text, FRAME_COUNT);
  for (const language of LANGUAGES) {
    for (const question of QUESTIONS[language]) add(question, FRAME_COUNT);
  }
  for (const food of foods) {
    for (const piece of answerPieces(food)) add(piece, 1);
  }
  for (const word of GENERAL_ENGLISH.split(" ")) add(` ${word}`, GENERAL_COUNT);
  return words;
}

/** @param {Map<string, number>} words */
export function charactersBeyondAscii(words) {
  const text = GENERAL_CHINESE + [...words.keys()].join("");
  return new Set(Array.from(text).filter((character) => character > "\u007f"));
}

/** Both answers of a food, without their tags, which are tokens of their own. */
function answerPieces(food) {
  const slot = /(\{\w+\})/;
  const tag = /<\/?\w+>/;
  return LANGUAGES.flatMap((language) => {
    const fill = (text) =>
      text
        .replace("{category}", CATEGORIES[language][food.subgroup])
        .replace("{name}", food[language])
        .replace("{kcal}", String(food.kcal));
    const parts = ANSWERS[language].split(tag);
    const pieces = language === "zh" ? parts.flatMap((part) => part.split(slot)) : parts;
    return pieces.filter((piece) => piece !== "").map(fill);
  });
}
