// The whole road with the commands that people type: a site → crawl → convert → sft → train → compare → report.
// Usage: node scripts/road/road.mjs [--out FOLDER] [--sft-steps 20] [--steps 300]     (`npm run road`)
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { root } from "../build/run.mjs";
import { startFoodSite } from "./site.mjs";

const CLI = `${root}dist/cli/main.js`;

/**
 * Each command with its arguments. `url` is the food site's, `folder` gets everything, `steps` are GRPO's.
 * @param {{ url: string, folder: string, sftSteps: number, steps: number }} options
 */
export function roadCommands({ url, folder, sftSteps, steps }) {
  const at = (...names) => join(folder, ...names);
  const data = ["--dataset", at("data", "train.json"), "--eval-dataset", at("data", "test.json")];
  const answers = ["--max-completion-length", "48", "--eval-batch-size", "32"];
  return [
    // The site is on this machine, and nobody waits behind it.
    [
      "crawl",
      "--site",
      "food-list",
      "--start-url",
      `${url}/food/group/{group}?page={page}`,
      "--out",
      at("crawl"),
    ].concat(["--allow-private", "--delay", "0"]),
    [
      "convert",
      at("crawl", "items.csv"),
      "--out",
      at("data"),
      "--questions",
      "food-zh",
      "--questions-per-row",
      "all",
    ].concat(
      ["--think", "图里的食物看起来像{name}。", "--answer-template", "{name} {heat|number}千卡"],
      ["--test-split", "0.25", "--stratify", "name", "--seed", "1"],
    ),
    ["convert", "--check", at("data", "train.json"), "--against", at("data", "test.json")].concat([
      "--model",
      `${root}examples/food/starter`,
      "--reward",
      "content",
      "format",
      "--show",
      "1",
    ]),
    ["sft", "--model", `${root}examples/food/starter`, ...data, "--max-steps", String(sftSteps), "--lr", "2e-4"].concat(
      ["--augment", "--eval-batch-size", "32", "--output-dir", at("sft"), "--save-model-to", at("sft-model")],
    ),
    [
      "train",
      "--model",
      at("sft-model"),
      ...data,
      "--reward",
      "content",
      "format",
      "--max-steps",
      String(steps),
    ].concat(
      ["--num-generations", "8", "--prompts-per-step", "16", "--scale-rewards", "none", "--augment"],
      ["--lr", "2e-4", "--lr-scheduler-type", "cosine", "--warmup-steps", "20"],
      [...answers, "--output-dir", at("grpo")],
    ),
    ["compare", at("grpo")],
    ["report", at("sft"), at("grpo"), "--out", at("report.html")],
  ];
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
 * Goes the road from an empty folder.
 * @param {{ folder: string, sftSteps?: number, steps?: number, write?: (text: string) => void }} options
 */
export async function goRoad({ folder, sftSteps = 20, steps = 300, write = (text) => process.stdout.write(text) }) {
  rmSync(folder, { recursive: true, force: true });
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
      "sft-steps": { type: "string", default: "20" },
      steps: { type: "string", default: "300" },
    },
  });
  await goRoad({ folder: values.out, sftSteps: Number(values["sft-steps"]), steps: Number(values.steps) });
}
