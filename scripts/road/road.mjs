// The whole road with the commands that people type: a site → crawl → convert → sft → train → compare → report.
// Usage: node scripts/road/road.mjs [--out FOLDER] [--sft-steps 40] [--steps 300]     (`npm run road`)
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { root } from "../build/run.mjs";
import { startFoodSite } from "./site.mjs";

const CLI = `${root}dist/cli/main.js`;

/** Words in capitals stand for what the machine decides. */
const COMMANDS = [
  // The site is on this machine, and nobody waits behind it.
  "crawl --site food-list --start-url URL --out CRAWL --allow-private --delay 0",
  "convert CSV --out DATA --questions food-zh --questions-per-row all --think THINK --answer-template ANSWER " +
    "--test-split 0.25 --stratify name --seed 1",
  "convert --check TRAIN --against TEST --model STARTER --reward content format --show 1",
  "sft --model STARTER --dataset TRAIN --eval-dataset TEST --max-steps SFT_STEPS --lr 2e-4 " +
    "--lr-scheduler-type cosine --augment --eval-batch-size 32 --output-dir SFT --save-model-to COLD",
  "train --model COLD --dataset TRAIN --eval-dataset TEST --reward content format --max-steps STEPS " +
    "--num-generations 8 --prompts-per-step 16 --scale-rewards none --augment --lr 2e-4 " +
    "--lr-scheduler-type cosine --warmup-steps 20 --max-completion-length 48 --eval-batch-size 32 --output-dir GRPO",
  "compare GRPO",
  "report SFT GRPO --out REPORT",
];

/** What an earlier road has left in its folder; anything else in it stays. */
const MADE = ["crawl", "data", "sft", "sft-model", "grpo", "report.html"];

/** The commands' arguments. `url` is the food site's, `folder` gets everything, `steps` are GRPO's. */
function roadCommands({ url, folder, sftSteps, steps }) {
  const at = (...names) => join(folder, ...names);
  const values = new Map(
    Object.entries({
      URL: `${url}/food/group/{group}?page={page}`,
      THINK: "看起来像{name}。",
      ANSWER: "{name} {heat|number}千卡",
      CRAWL: at("crawl"),
      CSV: at("crawl", "items.csv"),
      DATA: at("data"),
      TRAIN: at("data", "train.json"),
      TEST: at("data", "test.json"),
      STARTER: `${root}examples/food/starter`,
      SFT: at("sft"),
      SFT_STEPS: String(sftSteps),
      COLD: at("sft-model"),
      GRPO: at("grpo"),
      STEPS: String(steps),
      REPORT: at("report.html"),
    }),
  );
  return COMMANDS.map((line) => line.split(" ").map((word) => values.get(word) ?? word));
}

/** Runs one command; its output goes to `write`. Rejects where it fails. */
function runCommand(args, write) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", write);
    child.once("error", reject);
    child.once("close", (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`${args[0]} ended with ${signal ?? code}`)),
    );
  });
}

/**
 * Goes the road from its beginning.
 * @param {{ folder: string, sftSteps?: number, steps?: number, write?: (text: string) => void }} options
 */
export async function goRoad({ folder, sftSteps = 40, steps = 300, write = (text) => process.stdout.write(text) }) {
  for (const name of MADE) rmSync(join(folder, name), { recursive: true, force: true });
  const site = await startFoodSite();
  try {
    for (const args of roadCommands({ url: site.url, folder, sftSteps, steps })) {
      write(`\n$ vlmr1-native ${args.map(quote).join(" ")}\n`);
      await runCommand(args, write);
    }
  } finally {
    await site.close();
  }
}

function quote(text) {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text}'`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: "runs/road" },
      "sft-steps": { type: "string", default: "40" },
      steps: { type: "string", default: "300" },
    },
  });
  await goRoad({ folder: values.out, sftSteps: Number(values["sft-steps"]), steps: Number(values.steps) });
}
