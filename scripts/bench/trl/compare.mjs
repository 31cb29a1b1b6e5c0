// One GRPO step of this project against one of TRL on this machine's CPU. See README.md beside it.
// Usage: node scripts/bench/trl/compare.mjs --python PATH [options]
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { benchPresets } from "../common/models.mjs";
import { gib, machine, median, ratios, table } from "../common/numbers.mjs";
import { Others, processorSeconds } from "../common/others.mjs";
import { makeWorkload } from "../common/workload.mjs";
import { Worker } from "./worker.mjs";

const PHASES = ["inputs", "generation", "train", "optimizer"];
const COLUMNS = [...PHASES, "step", "processor"];
const PYTHON = { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" };
const MALLOC = {
  default: {},
  tuned: {
    MALLOC_MMAP_MAX_: "0",
    MALLOC_TRIM_THRESHOLD_: "20000000000",
    MALLOC_TOP_PAD_: "268435456",
  },
};
/** Cores that other programs may use before the table says that it is worth nothing. */
const BUSY = 0.15;
/** Relative; the same weights in other precisions say almost the same. */
const ENTROPY_LIMIT = { f32: 1e-3, autocast: 0.02, bf16: 0.05 };

const options = readOptions();
const workload = await makeWorkload(options);
const workers = startWorkers();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => cleanUp().then(() => process.exit(1)));
try {
  const infos = await ready();
  const rounds = await measure();
  report(infos, rounds);
} finally {
  await cleanUp();
}

async function cleanUp() {
  for (const { worker } of workers) worker.end();
  await workload.remove();
}

function readOptions() {
  const text = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({
    options: {
      python: text("python3"),
      preset: text("bench-10m"),
      picture: text("196"),
      prompts: text("2"),
      generations: text("8"),
      completion: text("64"),
      threads: text("2"),
      rounds: text("5"),
      warmup: text("1"),
      precision: text("f32"),
      malloc: text("tuned,default"),
      trl: { type: "string", multiple: true, default: ["{}"] },
      "max-others": text("Infinity"),
      patience: text("600"),
      unshared: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const numbers = [
    "picture",
    "prompts",
    "generations",
    "completion",
    "threads",
    "rounds",
    "warmup",
    "max-others",
    "patience",
  ];
  for (const name of numbers) values[name] = positive(name, values[name]);
  for (const name of ["precision", "malloc"]) values[name] = values[name].split(",");
  oneOf("preset", [values.preset], benchPresets);
  oneOf("precision", values.precision, Object.keys(ENTROPY_LIMIT));
  oneOf("malloc", values.malloc, Object.keys(MALLOC));
  return values;
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

/** Ours first: the others are compared with it. */
function startWorkers() {
  const here = (name) => fileURLToPath(new URL(name, import.meta.url));
  const node = (name, ...args) => ({
    name,
    precision: "f32",
    worker: new Worker(name, process.execPath, [here("ours.mjs"), workload.file, ...args]),
  });
  const list = [node("vlmr1-native f32")];
  if (options.unshared) list.push(node("vlmr1-native f32, nothing shared", "unshared"));
  for (const precision of options.precision) {
    for (const malloc of options.malloc) {
      for (const settings of options.trl) {
        const name = `TRL ${precision}, malloc ${malloc}${settings === "{}" ? "" : `, ${settings}`}`;
        const args = [here("trl_worker.py"), workload.file, precision, settings];
        const env = { ...PYTHON, OMP_NUM_THREADS: String(options.threads), ...MALLOC[malloc] };
        list.push({ name, precision, worker: new Worker(name, options.python, args, env) });
      }
    }
  }
  return list;
}

/** Both sides must have read the same weights, tokens and pictures. */
async function ready() {
  const infos = await Promise.all(workers.map(({ worker }) => worker.ready()));
  const [ours, ...others] = infos;
  for (const info of others) {
    const same =
      info.parameters === ours.parameters &&
      info.threads === ours.threads &&
      info.inputs.every(
        ({ tokens, pixels }, i) => tokens === ours.inputs[i].tokens && Math.abs(pixels - ours.inputs[i].pixels) < 1e-6,
      );
    if (!same) throw new Error(`not the same work:\n${JSON.stringify(ours)}\n${JSON.stringify(info)}`);
  }
  return infos;
}

/** A step of each in turn. */
async function measure() {
  const others = new Others(workers.map(({ worker }) => worker.pid));
  const rounds = [];
  for (let i = 0; i < options.warmup + options.rounds; i++) {
    const steps = [];
    for (const one of workers) {
      const step = await quietStep(one, others);
      checkStep(one, step, steps[0] ?? step);
      steps.push(step);
    }
    rounds.push({ steps, others: Math.max(...steps.map((step) => step.others)) });
    note(rounds);
  }
  return rounds.slice(options.warmup);
}

/** Waits for the machine to be quiet, and repeats a step during which it was not; while patience lasts. */
async function quietStep({ worker }, others) {
  const limit = options["max-others"];
  for (;;) {
    if (limit < Infinity && options.patience > 0) options.patience -= await others.quiet(limit, options.patience);
    const start = performance.now();
    const step = await timedStep(worker, others);
    if (!(step.others > limit) || options.patience <= 0) return step;
    options.patience -= (performance.now() - start) / 1000;
  }
}

async function timedStep(worker, others) {
  const computed = processorSeconds(worker.pid);
  others.start();
  const step = await worker.step();
  step.others = others.cores();
  step.seconds.step = PHASES.reduce((sum, phase) => sum + step.seconds[phase], 0);
  step.seconds.processor = processorSeconds(worker.pid) - computed;
  return step;
}

function checkStep({ name, precision }, { lengths, entropy }, ours) {
  if (lengths.some((length) => length !== options.completion)) throw new Error(`${name}: completions of ${lengths}`);
  if (Math.abs(entropy - ours.entropy) < ENTROPY_LIMIT[precision] * ours.entropy) return;
  throw new Error(`${name}: entropy ${entropy}, ours ${ours.entropy}: not the same model`);
}

function note(rounds) {
  if (options.json) return;
  const { steps, others } = rounds.at(-1);
  const times = steps.map(({ seconds }) => seconds.step.toFixed(2)).join("  ");
  console.error(`round ${rounds.length}: ${times} s; other programs: ${others?.toFixed(2) ?? "?"} cores`);
}

function summary(infos, rounds) {
  const of = (worker, column) => rounds.map(({ steps }) => steps[worker].seconds[column]);
  return workers.map(({ name, precision }, i) => ({
    name,
    precision,
    program: infos[i].program,
    seconds: Object.fromEntries(COLUMNS.map((column) => [column, median(of(i, column))])),
    timesOurs: Object.fromEntries(COLUMNS.map((column) => [column, ratios(of(i, column), of(0, column))])),
    peakBytes: Math.max(...rounds.map(({ steps }) => steps[i].peak)),
    loadedBytes: infos[i].peak,
  }));
}

function report(infos, rounds) {
  const results = summary(infos, rounds);
  const { preset, picture, prompts, generations, completion, threads } = options;
  const shape = { preset, parameters: workload.parameters, picture, prompts, generations, completion, threads };
  shape.promptTokens = rounds[0].steps[0].promptTokens;
  const busy = rounds.map(({ others }) => others);
  const conditions = { ...machine(), rounds: rounds.length, othersMedian: median(busy), othersMost: Math.max(...busy) };
  if (options.json) {
    const steps = rounds.map((one) => one.steps.map(({ seconds, others }) => ({ ...seconds, others })));
    console.log(JSON.stringify({ shape, conditions, results, rounds: steps }, null, 2));
    return;
  }
  console.log(`\n${heading(shape, conditions, results)}\n`);
  console.log(table(tableRows(results)));
}

function heading(shape, conditions, results) {
  const lines = [
    `${shape.preset} (${(shape.parameters / 1e6).toFixed(1)} M parameters), ${shape.prompts} prompts of ${shape.promptTokens} tokens` +
      ` with a picture of ${shape.picture}×${shape.picture}, G = ${shape.generations}, R = ${shape.completion}`,
    [...new Set(results.map(({ program }) => program))].join("; "),
    `${conditions.cpu}, ${shape.threads} threads; medians of ${conditions.rounds} rounds`,
    `other programs: ${conditions.othersMedian?.toFixed(2) ?? "?"} cores, at most ${conditions.othersMost.toFixed(2)}`,
  ];
  if (conditions.othersMost > BUSY) {
    lines.push("That is too much to compare anything: torch suffers more from busy cores. Repeat on a quiet machine.");
  }
  return lines.join("\n");
}

function tableRows(results) {
  const rows = [["seconds", ...COLUMNS, "× ours (least–most)", "peak memory", "÷ ours"]];
  for (const [i, { name, seconds, timesOurs, peakBytes }] of results.entries()) {
    const ratio = timesOurs.step;
    const spread = `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`;
    rows.push([
      name,
      ...COLUMNS.map((column) => seconds[column].toFixed(3)),
      i === 0 ? "" : spread,
      gib(peakBytes),
      i === 0 ? "" : (peakBytes / results[0].peakBytes).toFixed(2),
    ]);
    if (i === 0) continue;
    rows.push(["  × ours", ...COLUMNS.map((column) => timesOurs[column].median.toFixed(2)), "", "", ""]);
  }
  return rows;
}
