import { parseArgs } from "node:util";
import { benchPresets } from "../common/models.mjs";
import { MALLOC } from "../common/worker.mjs";
import { PRECISIONS } from "./settings.mjs";

const NUMBERS = ["prompts", "generations", "completion", "threads", "rounds", "warmup", "max-others", "patience"];
/** Of a comparison of one shape, and of many in a row. */
const ONE = { preset: "bench-10m", picture: "196", precision: "f32", rounds: "5" };
const MANY = { preset: "bench-10m,bench-80m", picture: "196,448", precision: "f32,autocast,bf16", rounds: "3" };

export function readOptions() {
  const text = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({
    options: {
      python: text("python3"),
      preset: text(),
      picture: text(),
      precision: text(),
      rounds: text(),
      prompts: text("2"),
      generations: text("8"),
      completion: text("64"),
      threads: text("2"),
      warmup: text("1"),
      malloc: text(),
      trl: { type: "string", multiple: true, default: ["{}"] },
      found: text(),
      search: text(),
      matrix: text(),
      limit: text("600"),
      "max-others": text("Infinity"),
      patience: text("600"),
      unshared: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  if (values.search && values.matrix) throw new Error("--search and --matrix: one after the other; --found joins them");
  const many = Boolean(values.search ?? values.matrix);
  return checked({ ...(many ? MANY : ONE), ...values }, many);
}

function checked(options, many) {
  for (const name of [...NUMBERS, "limit"]) options[name] = positive(name, options[name]);
  const lists = { preset: benchPresets, precision: Object.keys(PRECISIONS), malloc: Object.keys(MALLOC) };
  for (const [name, known] of Object.entries(lists)) {
    if (options[name] === undefined) continue;
    options[name] = options[name].split(",");
    oneOf(name, options[name], known);
  }
  options.picture = options.picture.split(",").map((size) => positive("picture", size));
  if (!many) {
    for (const name of ["preset", "picture"]) {
      if (options[name].length > 1) throw new Error(`--${name}: several only with --matrix or --search`);
    }
  }
  options.trl = options.trl.map(settings);
  return options;
}

/** One for each preset and picture. */
export function shapes({ preset, picture, prompts, generations, completion, threads }) {
  return preset.flatMap((name) =>
    picture.map((size) => ({ preset: name, picture: size, prompts, generations, completion, threads })),
  );
}

function positive(name, text) {
  const value = Number(text);
  if (value > 0) return value;
  throw new Error(`--${name}: expected a number above 0, got "${text}"`);
}

function oneOf(name, values, known) {
  const wrong = values.find((value) => !known.includes(value));
  if (wrong !== undefined) throw new Error(`--${name}: no "${wrong}"; there are: ${known.join(", ")}`);
}

function settings(text) {
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  } catch {}
  throw new Error(`--trl: expected a JSON object such as {"attention": "eager"}, got ${text}`);
}
