import { readFileSync } from "node:fs";
import { parse } from "csv-parse/sync";

/**
 * @typedef {object} Food
 * @property {string} slug        file name without its ending, from the English name
 * @property {string} codepoints  Unicode sequence as "1f34b-200d-1f7e9"
 * @property {string} subgroup    Unicode subgroup: food-fruit, drink …
 * @property {string} zh
 * @property {string} en
 * @property {number} kcal        per 100 g
 * @property {boolean} quick      one of those for a short run
 */

/**
 * The foods of the data set, in the table's order.
 * @param {string | URL} file
 * @returns {Food[]}
 */
export function readFoods(file) {
  const rows = parse(readFileSync(file), { bom: true, columns: true });
  const foods = rows.filter((row) => row.use === "1").map(toFood);
  for (const key of ["slug", "zh", "en"]) requireUnique(foods, key);
  return foods;
}

function toFood(row) {
  // "(cooked)" says what the energy is measured on; it is no part of the name.
  const en = row.en.replace(/\s*\(.*\)$/, "");
  const kcal = Number(row.kcal_per_100g);
  if (!Number.isInteger(kcal)) {
    throw new Error(`${row.en}: kcal_per_100g must be an integer, got "${row.kcal_per_100g}"`);
  }
  const slug = en.toLowerCase().replaceAll(" ", "-");
  return { slug, codepoints: row.codepoints, subgroup: row.subgroup, zh: row.zh, en, kcal, quick: row.quick === "1" };
}

/** Two foods of one name would make a right answer look wrong. */
function requireUnique(foods, key) {
  const seen = new Set();
  for (const food of foods) {
    const name = food[key].toLowerCase();
    if (seen.has(name)) throw new Error(`two foods have the ${key} name "${name}"`);
    seen.add(name);
  }
}
