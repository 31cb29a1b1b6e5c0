import type { Command } from "commander";
import { z } from "zod";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { serveRuns } from "../page/server/serve-runs.js";
import type { CliContext } from "./context.js";
import { untilInterrupted } from "./serving.js";

const dashboardSchema = z.object({
  port: z
    .int()
    .min(0)
    .max(65535)
    .optional()
    .describe("port of the page; 0: any free one (default: 8790 or the next that is free)"),
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("address of the page; others than 127.0.0.1 let other machines in, with a token"),
});

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("dashboard")
    .description("show runs in a browser, old ones and ones that go on, one or several side by side, until Ctrl-C")
    .argument("<run...>", "folders of runs");
  addConfigFlags(command, dashboardSchema, { noConfigFile: true });
  command.addHelpText(
    "after",
    "\nExample:\n  vlmr1-native dashboard runs/food runs/food-2\n\n" +
      "A run that is to be steered from its page is started with train --dashboard.",
  );
  command.action(async (folders: string[]) => {
    const { host, port } = await readCommandConfig(command, dashboardSchema, { noConfigFile: true });
    const dashboard = await serveRuns(folders, { host, port, version: context.version });
    try {
      context.stderr.write(`dashboard: ${dashboard.url}\nCtrl-C ends it\n`);
      await untilInterrupted(context);
    } finally {
      await dashboard.close();
    }
  });
}
