import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/**
 * @typedef {object} Studio
 * @property {string} name  folder of its pictures
 * @property {(food: import("./foods.mjs").Food) => Buffer | null} draw  SVG or WebP bytes, null where
 *   the studio never drew this food
 */

/** @returns {Studio[]} in the order of the data files */
export function openStudios() {
  // Noto's set names every emoji; the two older sets carry no table of their own.
  const names = require("@iconify-json/noto/chars.json");
  return [
    svgStudio("noto", "noto", names),
    svgStudio("twemoji", "twemoji", names),
    svgStudio("noto-v1", "noto-v1", names),
    svgStudio("emojione", "emojione", names),
    svgStudio("fluent-flat", "fluent-emoji-flat", names),
    fileStudio("fluent-3d", "@lobehub/fluent-emoji-3d"),
  ];
}

/** @returns {Studio} */
function svgStudio(name, iconSet, names) {
  const set = require(`@iconify-json/${iconSet}/icons.json`);
  return {
    name,
    draw(food) {
      const icon = set.icons[names[bareSequence(food)]];
      return icon ? Buffer.from(svgDocument(set, icon)) : null;
    },
  };
}

/** @returns {Studio} */
function fileStudio(name, packageName) {
  const assets = join(dirname(require.resolve(`${packageName}/package.json`)), "assets");
  return {
    name,
    draw(food) {
      const found = [food.codepoints, bareSequence(food)]
        .map((sequence) => join(assets, `${sequence}.webp`))
        .find((file) => existsSync(file));
      return found ? readFileSync(found) : null;
    },
  };
}

/** Tables of names leave the "draw as emoji" selector out. */
function bareSequence(food) {
  return food.codepoints.replaceAll("-fe0f", "");
}

function svgDocument(set, icon) {
  const width = icon.width ?? set.width;
  const height = icon.height ?? set.height;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `width="${width}" height="${height}" ` +
    `viewBox="${icon.left ?? 0} ${icon.top ?? 0} ${width} ${height}">${icon.body}</svg>`
  );
}
