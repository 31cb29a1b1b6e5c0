// How near `estimate` comes to the memory that a run takes. See README.md beside it.
// Usage: npm run bench:memory -- [--large FOLDER] [--only NAME …] [--json]
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../build/run.mjs";
import { temporaryFolder } from "./common/clean-up.mjs";
import { makeModel } from "./common/models.mjs";
import { table } from "./common/numbers.mjs";

const WORKER = `${root}scripts/bench/memory-worker.mjs`;
const CLI = `${root}dist/cli/main.js`;
const food = (name) => `${root}examples/food/${name}`;

const { values: options } = parseArgs({
  options: {
    large: { type: "string" },
    only: { type: "string", multiple: true },
    json: { type: "boolean", default: false },
  },
});

const SMALLEST = { precision: "bf16", optim: "adamw_8bit", stochasticRounding: true };
const LORA = { usePeft: true, beta: 0.04 };
const STEP = { numGenerations: 8, maxCompletionLength: 64, promptsPerStep: 4, maxTokensPerMicrobatch: 4096 };

/** Sizes of a run; the picture's side in pixels. */
const SIZES = {
  food: () => measureFood(),
  "bench-80m, full": (folder) => measure("bench-80m", folder, { ...STEP, picture: 224 }),
  "bench-80m, full, no recompute": (folder) =>
    measure("bench-80m", folder, { ...STEP, picture: 224, gradientCheckpointing: false }),
  "bench-80m, full, 8-bit moments": (folder) =>
    measure("bench-80m", folder, { ...STEP, picture: 224, optim: "adamw_8bit" }),
  "bench-80m, full, bf16, 8-bit moments, stochastic rounding": (folder) =>
    measure("bench-80m", folder, { ...STEP, ...SMALLEST, picture: 224 }),
  "bench-80m, LoRA, reference": (folder) => measure("bench-80m", folder, { ...STEP, ...LORA, picture: 224 }),
  "large, LoRA, reference": () =>
    measureFolder(options.large, { ...STEP, ...LORA, numGenerations: 4, promptsPerStep: 1, picture: 448 }),
};

const { folder, remove } = await temporaryFolder();
try {
  const results = [];
  for (const [name, run] of Object.entries(SIZES)) {
    const chosen = options.only === undefined || options.only.some((part) => name.includes(part));
    if (chosen && (options.large !== undefined || !name.startsWith("large")))
      results.push({ name, ...(await run(folder)) });
  }
  print(results);
} finally {
  await remove();
}

/** The food example as `npm start` trains it, through the command line: real data, completions that end when they end. */
function measureFood() {
  const args = ["--config", food("train.yaml"), "--model", food("starter"), "--dataset", food("train-quick.json")];
  args.push("--eval-dataset", food("test-quick.json"));
  const estimate = JSON.parse(
    execFileSync(process.execPath, [CLI, "estimate", ...args, "--json"], { encoding: "utf8" }),
  );
  const train = ["train", ...args, "--max-steps", "4", "--output-dir", join(folder, "food")];
  return { estimate: estimate.peak, ...work({ cli: train }) };
}

async function measure(preset, folder, step) {
  const directory = join(folder, preset);
  await makeModel(preset, directory).catch((error) => {
    if (error.code !== "ERR_USAGE") throw error; // made before
  });
  return measureFolder(directory, step);
}

function measureFolder(directory, { picture, ...config }) {
  return work({ directory, prompts: [{ textTokens: 13, pictures: [{ width: picture, height: picture }] }], config });
}

/** In a process of its own, whose peak is its own. */
function work(spec) {
  const output = execFileSync(process.execPath, ["--no-warnings", WORKER, JSON.stringify(spec)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(output.trim().split("\n").at(-1));
}

function print(results) {
  const measured = results.map((result) => ({ ...result, ratio: result.estimate / result.measured }));
  if (options.json) return console.log(JSON.stringify(measured, null, 2));
  const mb = (bytes) => (bytes / 1e6).toFixed(0);
  const engine = ({ estimatedHeld, held }) => (held === undefined ? "" : (estimatedHeld / held).toFixed(3));
  console.log(
    table([
      ["run", "estimate, MB", "measured, MB", "ratio", "engine alone"],
      ...measured.map((one) => [one.name, mb(one.estimate), mb(one.measured), one.ratio.toFixed(3), engine(one)]),
    ]),
  );
}
