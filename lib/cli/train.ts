import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import type { Command } from "commander";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { grpoSchema } from "../config/train-schema.js";
import { packageRoot } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { readRunFile } from "../report/run-files.js";
import type { CliContext } from "./context.js";
import { runTraining } from "./run-training.js";

const FOOD_RUN = "runs/food";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("train")
    .description("fine-tune with GRPO; with no model, data or config file: the food example")
    .option("--json", "print the summary as JSON");
  addConfigFlags(command, grpoSchema);
  command.addHelpText(
    "after",
    "\nExample:\n  vlmr1-native train --model DIR --dataset data.json --eval-dataset test.json --reward content ./mine.mjs",
  );
  command.action(async (options: { json?: boolean }) => {
    const json = options.json === true;
    if (!isFoodExample(command)) {
      await runTraining(await readCommandConfig(command, grpoSchema), context, { json, command: calledAs(context) });
      return;
    }
    setFoodDefaults(command);
    const config = await readCommandConfig(command, grpoSchema);
    requireStarter(config.model);
    const { outputDir = FOOD_RUN } = config;
    // A finished example can be made again at any time; an interrupted one may have someone's evening in it.
    const finished = (await readRunFile(outputDir))?.status === "finished";
    const overwriteOutputDir = config.overwriteOutputDir || (finished && !config.resume);
    await runTraining({ ...config, overwriteOutputDir }, context, { json, command: calledAs(context) });
  });
}

function isFoodExample(command: Command): boolean {
  const { config, model, dataset } = command.opts<Record<string, unknown>>();
  const set = command.opts<{ set?: string[] }>().set ?? [];
  const named = set.some((assignment) => /^\s*(model|data|dataset)\s*=/.test(assignment));
  return config === undefined && model === undefined && dataset === undefined && !named;
}

function setFoodDefaults(command: Command): void {
  const folder = join(packageRoot(), "examples", "food");
  const defaults: Record<string, string> = {
    config: join(folder, "train.yaml"),
    model: join(folder, "starter"),
    dataset: join(folder, "train-quick.json"),
    evalDataset: join(folder, "test-quick.json"),
    outputDir: FOOD_RUN,
  };
  for (const [name, value] of Object.entries(defaults)) {
    const shown = value === FOOD_RUN ? value : relative(process.cwd(), value) || value;
    // Held-out rows come from one of the two.
    if (name === "evalDataset" && command.getOptionValue("valSplitRatio") !== undefined) continue;
    if (command.getOptionValue(name) === undefined) command.setOptionValue(name, shown);
  }
}

function requireStarter(model: string): void {
  if (existsSync(join(model, "config.json"))) return;
  throw new VlmR1Error("ERR_NOT_FOUND", `the starter model of the food example is not at ${model}`, {
    hint: "Check the repository out whole, make the starter as examples/food/README.md says, or name another --model.",
  });
}

function calledAs({ env }: CliContext): string {
  return env.npm_lifecycle_event === "start" ? "npm start --" : "vlmr1-native train";
}
