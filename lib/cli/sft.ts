import type { Command } from "commander";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { sftSchema } from "../config/train-schema.js";
import type { CliContext } from "./context.js";
import { runTraining } from "./run-training.js";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("sft")
    .description("fine-tune on the answers of the data (the cold start before GRPO)")
    .option("--json", "print the summary as JSON");
  addConfigFlags(command, sftSchema);
  command.addHelpText(
    "after",
    "\nExample:\n  vlmr1-native sft --model DIR --dataset data.json --augment --lr 1e-3 --num-train-epochs 10",
  );
  command.action(async (options: { json?: boolean }) => {
    const config = await readCommandConfig(command, sftSchema);
    await runTraining({ objective: "sft", ...config }, context, {
      json: options.json === true,
      command: "vlmr1-native sft",
    });
  });
}
