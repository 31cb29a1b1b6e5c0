import { extname } from "node:path";
import type { ConvertConfig } from "../config/convert-schema.js";
import { type CheckResult, checkData, renderRow, unusableRows } from "../data/convert/index.js";
import { describeProblem, splitPaths } from "../data/datasets/index.js";
import { usageError, VlmR1Error } from "../errors/index.js";
import { resolveModel } from "../hub/index.js";
import { type ImageEngine, Processor, readModelConfig } from "../processing/index.js";
import { checkRewards, type RewardCheck } from "./check-rewards.js";
import { checkJson, checkLines } from "./check-table.js";
import type { CliContext } from "./context.js";
import { showFetching } from "./fetching.js";
import { printJson, StatusLine, warn } from "./output.js";

/** What a model's folder says about prompts. */
interface Reading {
  processor: Processor;
  maxPromptTokens: number | undefined;
}

/** Data sets in forms that training does not read. */
const OTHER_FORMS = new Set([".csv", ".tsv", ".parquet"]);

/** `convert --check`. Throws `ERR_DATA` where a row cannot be used. */
export async function runCheck(
  files: string,
  config: ConvertConfig,
  json: boolean,
  context: CliContext,
): Promise<void> {
  const { imageFolders, against, checkPictures, promptSuffix } = config;
  const { signal } = context;
  checkForm(files);
  const reading = config.model === undefined ? undefined : await openProcessor(config.model, config, context);
  const status = new StatusLine(context);
  let result: CheckResult;
  let rewards: RewardCheck[] | undefined;
  try {
    result = await checkData({
      files,
      imageFolders,
      against,
      checkPictures,
      promptSuffix,
      ...reading,
      signal,
      onRows: (done, all) => status.show(`${done} of ${all} rows`),
    });
    rewards = config.rewards && (await checkRewards(result.rows, config.rewards, config, signal));
  } finally {
    status.clear();
  }
  const prompts = reading === undefined ? [] : rendered(result, reading.processor, config);
  const all = { result, rewards, prompts, maxPromptTokens: reading?.maxPromptTokens };
  if (json) printJson(context, checkJson(all));
  else context.stdout.write(`${checkLines(all).join("\n")}\n`);
  tell(result, context);
  const bad = unusableRows(result);
  if (bad === 0) return;
  throw new VlmR1Error("ERR_DATA", `${bad} of ${bad + usable(result)} rows cannot be used; training leaves them out`);
}

function usable({ rows }: CheckResult): number {
  return rows.filter(({ error }) => error === undefined).length;
}

function checkForm(files: string): void {
  const other = splitPaths(files).find((file) => OTHER_FORMS.has(extname(file).toLowerCase()));
  if (other === undefined) return;
  throw usageError(
    `--check looks at conversations as train reads them, .json or .jsonl; got ${other}`,
    `Convert it first: vlmr1-native convert ${other} --output data.json`,
  );
}

/** Sizes are enough to count tokens: no pixel is computed. */
const NO_ENGINE: ImageEngine = {
  processImage: () => Promise.reject(new VlmR1Error("ERR_INTERNAL", "a check computes no pixels")),
};

async function openProcessor(model: string, config: ConvertConfig, context: CliContext): Promise<Reading> {
  const { revision, minPixels, maxPixels, maxCompletionLength } = config;
  const folder = await showFetching(context, (fetching) =>
    resolveModel(model, { ...fetching, revision, wanted: "tokenizer" }),
  );
  const processor = await Processor.load(folder, NO_ENGINE, { minPixels, maxPixels });
  const positions = positionsOf(await readModelConfig(folder));
  return { processor, maxPromptTokens: positions === undefined ? undefined : positions - maxCompletionLength };
}

/** Newer configurations have the decoder's numbers in a part of their own. */
function positionsOf(config: Record<string, unknown>): number | undefined {
  const part = config.text_config as Record<string, unknown> | undefined;
  const positions = config.max_position_embeddings ?? part?.max_position_embeddings;
  return typeof positions === "number" ? positions : undefined;
}

function rendered({ rows }: CheckResult, processor: Processor, { show, promptSuffix }: ConvertConfig) {
  return rows
    .filter(({ error }) => error === undefined)
    .slice(0, show)
    .map(({ row, pictures, tokens }) => ({
      id: row.id,
      tokens: tokens?.prompt ?? 0,
      pictures,
      ...renderRow(row, processor, promptSuffix),
    }));
}

/** Rows of one kind that are named. */
const SHOWN = 5;

function tell(result: CheckResult, context: CliContext): void {
  const { problems, rows, duplicates, leaks, withoutAnswer, renamed } = result;
  const list = (lines: readonly string[]) => {
    for (const line of lines.slice(0, SHOWN)) warn(context, line);
    if (lines.length > SHOWN) warn(context, `… and ${lines.length - SHOWN} more like this; --json has all`);
  };
  list(problems.map((problem) => `left out: ${describeProblem(problem)}`));
  list(rows.flatMap(({ row, error }) => (error === undefined ? [] : [`left out: ${row.id}: ${error}`])));
  list(duplicates.map(({ id, of }) => `${id} says the same as ${of}`));
  list(leaks.map(({ id, with: other }) => `${id} has a picture of ${other}, of the data it is checked against`));
  list(withoutAnswer.map((id) => `${id} has no answer`));
  list(renamed.map(({ from, to }) => `${from} is the id of two rows; the later one is called ${to}`));
}
