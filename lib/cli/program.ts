import { Command, CommanderError } from "commander";
import { normaliseFlags } from "../config/index.js";
import { isAbort, isUsageError, VlmR1Error } from "../errors/index.js";
import type { CliContext, Output } from "./context.js";
import { helpLayout } from "./help-layout.js";
import { isServing } from "./serving.js";

interface CommandModule {
  register(program: Command, context: CliContext): void;
}

/**
 * In the order of the help. Loaded when needed: `doctor` has to run where a dependency of the others does not load.
 */
const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  crawl: () => import("./crawl.js"),
  convert: () => import("./convert.js"),
  sft: () => import("./sft.js"),
  train: () => import("./train.js"),
  eval: () => import("./eval.js"),
  compare: () => import("./compare.js"),
  report: () => import("./report.js"),
  dashboard: () => import("./dashboard.js"),
  generate: () => import("./generate.js"),
  serve: () => import("./serve.js"),
  score: () => import("./score.js"),
  estimate: () => import("./estimate.js"),
  "merge-adapter": () => import("./merge-adapter.js"),
  "init-model": () => import("./init-model.js"),
  doctor: () => import("./doctor.js"),
};

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
export const EXIT_INTERRUPTED = 130;

/** Runs one command line (without `node` and the script) and returns its exit code; never throws. */
export async function runProgram(args: readonly string[], context: CliContext): Promise<number> {
  try {
    const program = await buildProgram(args, context);
    await program.parseAsync(normaliseArguments(args, program), { from: "user" });
    // A command may end in good order after an interruption, for example behind a checkpoint.
    return context.signal.aborted && !isServing(context.signal) ? EXIT_INTERRUPTED : EXIT_OK;
  } catch (error) {
    return reportError(error, context);
  }
}

/** All commands where `args` names none of them. */
export async function buildProgram(args: readonly string[], context: CliContext): Promise<Command> {
  const program = new Command("vlmr1-native")
    .description("Fine-tune vision-language models with GRPO, without Python")
    .version(context.version)
    .showHelpAfterError("(add --help for all options)")
    .configureHelp(helpLayout)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "error [ERR_USAGE] ")),
    });
  const name = args.find((arg) => !arg.startsWith("-")) ?? "";
  // Help and unknown names need the whole list.
  const wanted = Object.hasOwn(COMMANDS, name) ? [name] : Object.keys(COMMANDS);
  for (const command of wanted) (await COMMANDS[command]?.())?.register(program, context);
  return program;
}

/** Flags may be spelled in any case; which ones there are depends on the command. */
function normaliseArguments(args: readonly string[], program: Command): string[] {
  const at = args.findIndex((arg) => !arg.startsWith("-"));
  const command = program.commands.find((candidate) => candidate.name() === args[at]);
  if (command === undefined) return [...args];
  return [...args.slice(0, at + 1), ...normaliseFlags(args.slice(at + 1), command)];
}

function reportError(error: unknown, context: CliContext): number {
  // Commander has written its message already; help and version end here too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (context.signal.aborted && isAbort(error, context.signal)) return EXIT_INTERRUPTED;
  printError(error, context.stderr, context.env.VLMR1_DEBUG === "1");
  return isUsageError(error) ? EXIT_USAGE : EXIT_FAILED;
}

function printError(error: unknown, stderr: Output, withStack: boolean): void {
  const known = error instanceof VlmR1Error;
  const message = error instanceof Error ? error.message : String(error);
  stderr.write(`error [${known ? error.code : "ERR_INTERNAL"}] ${message}\n`);
  const hint = known ? error.hint : "This should not happen; set VLMR1_DEBUG=1 to see where, and please report it.";
  if (hint !== undefined) stderr.write(`hint: ${hint}\n`);
  if (withStack && error instanceof Error) stderr.write(`${error.stack}\n`);
}
