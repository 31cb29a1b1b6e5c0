import type { Command } from "commander";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { reportSchema } from "../config/report-schema.js";
import { writeReport } from "../page/index.js";
import { formatBytes } from "../report/format.js";
import type { CliContext } from "./context.js";
import { printJson, warn } from "./output.js";

const NO_FILE = { noConfigFile: true };

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("report")
    .description("make one HTML file of a run, or of several side by side: curves, answers before and after, settings")
    .argument("<run...>", "folders of runs, finished or not")
    .option("--json", "print the result as JSON");
  addConfigFlags(command, reportSchema, NO_FILE);
  command.addHelpText("after", "\nExample:\n  vlmr1-native report runs/food --out food.html");
  command.action(async (folders: string[], options: { json?: boolean }) => {
    const config = await readCommandConfig(command, reportSchema, NO_FILE);
    const report = await writeReport(folders, { ...config, signal: context.signal });
    if (report.reduced) warn(context, `pictures, texts or curves were reduced to stay within ${config.maxSize}`);
    if (options.json === true) printJson(context, report);
    else context.stdout.write(`${report.path}: ${formatBytes(report.bytes)}\n`);
  });
}
