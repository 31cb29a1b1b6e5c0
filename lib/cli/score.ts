import type { Command } from "commander";
import { z } from "zod";
import { addConfigFlags, modelFields, readCommandConfig } from "../config/index.js";
import { describeProblem, loadConversations, type Row } from "../data/datasets/index.js";
import type { NativeGroup } from "../engine/index.js";
import { isAbort, VlmR1Error } from "../errors/index.js";
import type { Processor } from "../processing/index.js";
import type { CliContext } from "./context.js";
import { type Opened, withModel } from "./open.js";
import { printJson, StatusLine, warn } from "./output.js";

const Schema = z.object({
  ...modelFields,
  data: z.union([z.string(), z.array(z.string())]).describe("conversations JSON or JSONL; several as a.json:b.jsonl"),
  imageFolders: z
    .array(z.string())
    .optional()
    .describe("folder of relative picture paths (default: the data file's own)"),
  gradients: z
    .string()
    .optional()
    .describe("write d(mean negative log-likelihood)/d(parameter), of the adapter where there is one, to this file"),
});

type Config = z.output<typeof Schema>;

interface Scored {
  row: Row;
  answer: Int32Array;
}

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("score")
    .description("log-probabilities of the given answers by teacher forcing")
    .option("--json", "print a line per row: id, token_ids, logprobs");
  addConfigFlags(command, Schema);
  command.addHelpText("after", "\nExample:\n  vlmr1-native score --model DIR --data conversations.json --json");
  command.action(async (options: { json?: boolean }) => {
    await score(await readCommandConfig(command, Schema), options.json === true, context);
  });
}

async function score(config: Config, json: boolean, context: CliContext): Promise<void> {
  const { signal } = context;
  const { rows, problems } = await loadConversations(config.data, { imageFolders: config.imageFolders, signal });
  for (const problem of problems) warn(context, `left out: ${describeProblem(problem)}`);
  await withModel(context, config, { gradients: config.gradients !== undefined, signal }, async (opened) => {
    const summary = new Summary(context, json);
    const answers = await usableRows(rows, opened.processor, config.gradients !== undefined, context);
    const totalTokens = answers.reduce((sum, { answer }) => sum + answer.length, 0);
    for (const item of answers) {
      const group = await makeGroup(item, opened.processor, context);
      if (group === undefined) continue;
      summary.add(item, await scoreGroup(opened, group, totalTokens, config.gradients !== undefined, signal));
    }
    if (config.gradients !== undefined) await opened.model.save(config.gradients, { what: "gradients", signal });
    summary.finish();
  });
}

/**
 * Rows with an answer. The mean that gradients are of is over the tokens of all rows, so with gradients every picture
 * is tried before the first backward pass.
 */
async function usableRows(rows: Row[], processor: Processor, tryAll: boolean, context: CliContext): Promise<Scored[]> {
  const usable: Scored[] = [];
  for (const row of rows) {
    const answer = row.solution === "" ? new Int32Array() : processor.answerTokens(row.solution);
    if (answer.length === 0) {
      warn(context, `left out: ${row.id}: there is no answer to score`);
      continue;
    }
    const item = { row, answer };
    if (!tryAll || (await makeGroup(item, processor, context)) !== undefined) usable.push(item);
  }
  if (usable.length === 0) throw new VlmR1Error("ERR_DATA", "not a single row can be scored");
  return usable;
}

async function makeGroup(item: Scored, processor: Processor, context: CliContext): Promise<NativeGroup | undefined> {
  const { row, answer } = item;
  try {
    const prompt = await processor.prompt(row.messages, row.images, { signal: context.signal });
    return { prompt, completions: [answer] };
  } catch (error) {
    if (!(error instanceof VlmR1Error) || isAbort(error, context.signal)) throw error;
    warn(context, `left out: ${row.id}: ${error.message}`);
    return undefined;
  }
}

async function scoreGroup(
  { model }: Opened,
  group: NativeGroup,
  totalTokens: number,
  gradients: boolean,
  signal: AbortSignal,
): Promise<Float32Array> {
  const groups = [group];
  const logProbs = gradients
    ? (await model.accumulate({ groups, loss: { kind: "sft", totalTokens }, signal })).logProbs[0]?.[0]
    : (await model.logProbs({ groups, temperature: 1, signal }))[0]?.[0]?.logProbs;
  if (logProbs === undefined) throw new VlmR1Error("ERR_INTERNAL", "the engine returned no log-probabilities");
  return logProbs;
}

/** Prints rows as they come, and, for people, the mean at the end. */
class Summary {
  private rows = 0;
  private tokens = 0;
  private sum = 0;
  private readonly status: StatusLine;

  constructor(
    private readonly context: CliContext,
    private readonly json: boolean,
  ) {
    this.status = new StatusLine(context);
  }

  add({ row, answer }: Scored, logProbs: Float32Array): void {
    const sum = logProbs.reduce((total, value) => total + value, 0);
    this.rows += 1;
    this.tokens += answer.length;
    this.sum += sum;
    this.status.clear();
    if (this.json) printJson(this.context, { id: row.id, token_ids: [...answer], logprobs: [...logProbs] });
    else
      this.context.stdout.write(
        `${row.id}\t${answer.length} tokens\tmean log-probability ${mean(sum, answer.length)}\n`,
      );
    this.status.show(`${this.rows} rows`);
  }

  finish(): void {
    this.status.clear();
    if (this.json) return;
    const loss = -this.sum / this.tokens;
    this.context.stdout.write(
      `${this.rows} rows, ${this.tokens} tokens: mean negative log-likelihood ${loss.toFixed(4)}, ` +
        `perplexity ${Math.exp(loss).toFixed(3)}\n`,
    );
  }
}

function mean(sum: number, count: number): string {
  return (sum / count).toFixed(4);
}
