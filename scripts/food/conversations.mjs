import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** @typedef {import("./foods.mjs").Food} Food */
/** @typedef {"zh" | "en"} Language */

export const LANGUAGES = /** @type {const} */ (["zh", "en"]);

/** Of the templates' questions the data set has these many; those of later ones are for data of one's own. */
const ASKED = 4;

/** @param {Language} language */
function questionsIn(language) {
  const file = new URL(`../../examples/templates/food-${language}.yaml`, import.meta.url);
  return parse(readFileSync(file, "utf8")).questions.slice(0, ASKED);
}

/** @type {Record<Language, string[]>} */
export const QUESTIONS = { zh: questionsIn("zh"), en: questionsIn("en") };

export const CATEGORIES = {
  zh: {
    "food-fruit": "水果",
    "food-vegetable": "蔬菜",
    "food-prepared": "加工食品",
    "food-asian": "亚洲美食",
    "food-sweet": "甜食",
    drink: "饮品",
  },
  en: {
    "food-fruit": "a fruit",
    "food-vegetable": "a vegetable",
    "food-prepared": "a prepared food",
    "food-asian": "an Asian dish",
    "food-sweet": "a sweet",
    drink: "a drink",
  },
};

/** Text with slots; the tokenizer's corpus is cut at the same slots. */
export const ANSWERS = {
  zh: "<think>图里是{category}，看起来像{name}。</think><answer>{name} {kcal}千卡</answer>",
  en: "<think>The picture shows {category}: {name}.</think><answer>{name} {kcal} kcal</answer>",
};

/**
 * @param {Food} food
 * @param {Language} language
 */
export function answer(food, language) {
  return ANSWERS[language]
    .replaceAll("{category}", CATEGORIES[language][food.subgroup])
    .replaceAll("{name}", food[language])
    .replaceAll("{kcal}", String(food.kcal));
}

/**
 * One row of conversations JSON.
 * @param {string} studio
 * @param {Food} food
 * @param {Language} language
 * @param {number} question
 */
function row(studio, food, language, question) {
  const picture = `${studio}/${food.slug}`;
  return {
    id: `${picture}#${language}${question + 1}`,
    image: `images/${picture}.png`,
    conversations: [
      { from: "human", value: `<image>${QUESTIONS[language][question]}` },
      { from: "gpt", value: answer(food, language) },
    ],
  };
}

/**
 * Every question about a picture. To learn from, a picture must come with all of them: with one each, the question
 * would give away a part of the answer, and a model would learn that instead of looking.
 * @param {string} studio
 * @param {Food} food
 */
export function allRows(studio, food) {
  return LANGUAGES.flatMap((language) =>
    QUESTIONS[language].map((_, question) => row(studio, food, language, question)),
  );
}

/**
 * One question about a picture. Which one depends on the picture and language alone, so that adding a food or a studio
 * leaves all other rows as they are.
 * @param {string} studio
 * @param {Food} food
 * @param {Language} language
 */
export function oneRow(studio, food, language) {
  return row(studio, food, language, hash(`${studio}/${food.slug}#${language}`) % QUESTIONS[language].length);
}

/**
 * The language for each picture where a picture is asked about once: half of a studio's foods are
 * Chinese, half English, and the next studio has it the other way round.
 * @param {Food[]} foods
 * @returns {(studioIndex: number, food: Food) => Language}
 */
export function alternateLanguages(foods) {
  const byHash = foods.toSorted((a, b) => hash(a.slug) - hash(b.slug));
  const rank = new Map(byHash.map((food, index) => [food, index]));
  return (studioIndex, food) => LANGUAGES[(rank.get(food) + studioIndex) % 2];
}

/** @param {string} text */
function hash(text) {
  return createHash("sha256").update(text).digest().readUInt32BE();
}
