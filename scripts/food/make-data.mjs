// Makes the pictures and conversations of examples/food from food.csv and six npm packages.
// Usage: node scripts/food/make-data.mjs
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { allRows, alternateLanguages, oneRow } from "./conversations.mjs";
import { readFoods } from "./foods.mjs";
import { toPicture } from "./pictures.mjs";
import { openStudios } from "./studios.mjs";

const target = new URL("../../examples/food/", import.meta.url);

/**
 * The studios of one split; a family (Noto and Noto v1, the two Fluents) draws alike and must never
 * be on both sides. Neighbours in this order ask about a food in different languages.
 */
const SPLITS = {
  sft: ["noto"],
  train: ["twemoji", "noto-v1", "emojione"],
  test: ["fluent-flat", "fluent-3d"],
};

const foods = readFoods(new URL("food.csv", target));
const drawn = await drawAll(openStudios());
const languageOf = alternateLanguages(foods);

for (const split of ["sft", "train"]) writeRows(split, allRows);
writeRows("test", (studio, food, index) => [oneRow(studio, food, languageOf(index, food))]);
// The short run: two dozen foods that are easy to tell apart. Few pictures, so they are asked about in all ways.
for (const split of ["train", "test"]) {
  writeRows(split, (studio, food) => (food.quick ? allRows(studio, food) : []), `${split}-quick`);
}

/**
 * Writes every picture; returns what each studio has drawn.
 * @returns {Promise<Map<string, import("./foods.mjs").Food[]>>}
 */
async function drawAll(studios) {
  const drawn = new Map();
  rmSync(new URL("images/", target), { recursive: true, force: true });
  for (const studio of studios) {
    const folder = new URL(`images/${studio.name}/`, target);
    mkdirSync(folder, { recursive: true });
    const sources = foods.map((food) => ({ food, source: studio.draw(food) }));
    const present = sources.filter(({ source }) => source !== null);
    let bytes = 0;
    for (const { food, source } of present) {
      const picture = await toPicture(source);
      writeFileSync(new URL(`${food.slug}.png`, folder), picture);
      bytes += picture.length;
    }
    drawn.set(
      studio.name,
      present.map(({ food }) => food),
    );
    console.log(`${studio.name}: ${present.length} pictures, ${(bytes / 1024).toFixed(0)} KiB`);
  }
  return drawn;
}

/** One row per line, so that a change of one food is a change of its lines. */
function writeRows(split, rowsOf, name = split) {
  const rows = SPLITS[split].flatMap((studio, index) =>
    drawn.get(studio).flatMap((food) => rowsOf(studio, food, index)),
  );
  const lines = rows.map((entry) => JSON.stringify(entry)).join(",\n");
  writeFileSync(new URL(`${name}.json`, target), `[\n${lines}\n]\n`);
  console.log(`${name}.json: ${rows.length} rows`);
}
