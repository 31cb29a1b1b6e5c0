import { parseArgs } from "node:util";
import { benchPresets } from "./models.mjs";

/** A wrong command line: its message is enough. */
export class UsageError extends Error {}

const whole = (least) => ({ type: "string", least, value: "N" });
const words = (value, among) => ({ type: "string", among, value });

/** Every option that a suite can take; its defaults are the suite's. */
const OPTIONS = {
  rounds: { ...whole(1), about: "how often everything is measured, in turn" },
  threads: { ...whole(0), about: "0: one per core" },
  preset: { ...words("NAME", benchPresets), about: "size of the model" },
  precision: { ...words("NAME", ["f32", "bf16"]), about: "type of both operands of products" },
  prompts: { ...whole(1), about: "groups of a step" },
  generations: { ...whole(2), about: "completions of a prompt" },
  completion: { ...whole(2), about: "tokens of a completion" },
  picture: { ...whole(28), about: "pixels of a picture's side" },
  tokens: { ...whole(0), about: "length of a prompt, by words beside the picture; 0: as it is (phases)" },
  shape: { ...words("G,P,R"), multiple: true, about: "a group's completions, its prompt's tokens, a completion's" },
  requests: { ...whole(1), multiple: true, about: "requests that are answered at once" },
  over: { ...words("NAME", ["tokens", "threads", "parameters"]), multiple: true, about: "what is varied" },
  filter: { ...words('"WORD …"'), about: "kernels with all these words in their name, not the selection" },
};
const FLAGS = {
  quick: { type: "boolean", about: "tiny sizes: whether it works, no figures" },
  json: { type: "boolean", about: "one JSON object on stdout" },
  help: { type: "boolean", about: "this text" },
};

/**
 * @param {string[]} args
 * @param {Record<string, { defaults: object }>} suites  a suite takes the options that it has a default for
 * @returns which suites to run, what was given, and the flags
 */
export function readCommandLine(args, suites) {
  const { values, positionals } = parse(args);
  const unknown = positionals.find((name) => !(name in suites));
  if (unknown) throw new UsageError(`no suite "${unknown}"; there are: ${Object.keys(suites).join(", ")}`);
  const names = positionals.length > 0 ? [...new Set(positionals)] : Object.keys(suites);
  const { quick = false, json = false, help = false, ...texts } = values;
  const given = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, read(name, text)]));
  for (const name of Object.keys(given)) {
    if (!names.some((suite) => name in suites[suite].defaults))
      throw new UsageError(`--${name}: not an option of ${names.join(", ")}`);
  }
  return { names, isSelection: positionals.length === 0, given, quick, json, help };
}

/** The suite's own defaults, under what was given. */
export function optionsOf(suite, { given, quick }) {
  const base = quick ? { ...suite.defaults, ...suite.quick } : suite.defaults;
  const own = Object.entries(given).filter(([name]) => name in suite.defaults);
  return { ...base, ...Object.fromEntries(own), isQuick: quick };
}

export function usage(suites) {
  const line = (name, about, defaults = "") => `  ${name.padEnd(22)} ${about}${defaults}`;
  const takers = (name) => Object.keys(suites).filter((suite) => name in suites[suite].defaults);
  return [
    "Usage: npm run bench -- [SUITE …] [options]",
    "Without a suite all are run, each with a selection: within five minutes on two idle cores.\n",
    ...Object.entries(suites).map(([name, { about }]) => line(name, about)),
    "",
    ...Object.entries(OPTIONS).map(([name, { value, about }]) =>
      line(`--${name} ${value}`, about, ` (${takers(name).join(", ")})`),
    ),
    ...Object.entries(FLAGS).map(([name, { about }]) => line(`--${name}`, about)),
  ].join("\n");
}

function parse(args) {
  const options = Object.fromEntries(
    Object.entries({ ...OPTIONS, ...FLAGS }).map(([name, { type, multiple = false }]) => [name, { type, multiple }]),
  );
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function read(name, text) {
  if (Array.isArray(text)) return text.map((one) => read(name, one));
  const { least, among } = OPTIONS[name];
  if (least === undefined) return checked(name, text, among);
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= least) return value;
  throw new UsageError(`--${name}: expected a whole number of at least ${least}, got "${text}"`);
}

function checked(name, text, among) {
  if (among === undefined || among.includes(text)) return text;
  throw new UsageError(`--${name}: expected one of ${among.join(", ")}, got "${text}"`);
}
