import type { Command } from "commander";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { type ServeConfig, serveSchema } from "../config/serve-schema.js";
import { VlmR1Error } from "../errors/index.js";
import { type RequestRecord, serve } from "../serve/index.js";
import type { CliContext } from "./context.js";
import { showFetching } from "./fetching.js";
import { escaped, printJson, warn } from "./output.js";
import { untilInterrupted } from "./serving.js";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("serve")
    .description("answer requests over HTTP as OpenAI's API does, with pictures, many at a time")
    .option("--json", "print one line of JSON when the server is ready: url, port, model");
  addConfigFlags(command, serveSchema);
  command.addHelpText(
    "after",
    "\nExample:\n  vlmr1-native serve --model DIR --port 8000\n" +
      '  curl http://127.0.0.1:8000/v1/chat/completions -H "Content-Type: application/json" \\\n' +
      '    -d \'{"messages": [{"role": "user", "content": "Hello"}]}\'',
  );
  command.action(async (options: { json?: boolean }) => {
    await runServer(await readCommandConfig(command, serveSchema), options.json === true, context);
  });
}

async function runServer(config: ServeConfig, json: boolean, context: CliContext): Promise<void> {
  const server = await showFetching(context, (fetching) =>
    serve({
      ...config,
      ...fetching,
      onRequest: (record) => context.stderr.write(`${logLine(record)}\n`),
      onError: (error) => logError(error, context),
    }),
  );
  const { url, port, model } = server;
  if (json) printJson(context, { url, port, model });
  context.stderr.write(`serving ${model} at ${url}; Ctrl-C ends it\n`);
  await untilInterrupted(context);
  const patience = `requests under way have ${config.shutdownTimeout} seconds`;
  context.stderr.write(`\nending: ${patience}; Ctrl-C once more ends them now\n`);
  await server.closed;
}

function logLine({
  method,
  path,
  status,
  milliseconds,
  promptTokens,
  completionTokens,
  message,
}: RequestRecord): string {
  const seconds = (milliseconds / 1000).toFixed(2);
  const tokens = promptTokens === 0 ? "" : `, ${promptTokens} + ${completionTokens} tokens`;
  const why = message === undefined ? "" : `: ${escaped(message)}`;
  return `${method} ${escaped(path)} ${status} ${seconds} s${tokens}${why}`;
}

const ADVICE: Readonly<Record<string, string>> = {
  ERR_OUT_OF_MEMORY: "; lower max_num_seqs, max_model_len or max_pixels",
};

function logError(error: unknown, context: CliContext): void {
  const message = escaped(error instanceof Error ? error.message : String(error));
  const known = error instanceof VlmR1Error;
  warn(context, `a request failed: ${known ? `[${error.code}] ${message}${ADVICE[error.code] ?? ""}` : message}`);
}
