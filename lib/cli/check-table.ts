import { type CheckedPicture, type CheckResult, type Quantiles, unusableRows } from "../data/convert/index.js";
import { formatTable } from "../report/format.js";
import type { RewardCheck } from "./check-rewards.js";
import { statisticsLines } from "./statistics-table.js";

/** A row's prompt with its special tokens, one mark for each picture. */
export interface RenderedPrompt {
  id: string;
  tokens: number;
  pictures: readonly CheckedPicture[];
  prompt: string;
  answer: string;
}

export interface Checked {
  result: CheckResult;
  rewards: RewardCheck[] | undefined;
  prompts: readonly RenderedPrompt[];
  maxPromptTokens: number | undefined;
}

export function checkLines({ result, rewards, prompts, maxPromptTokens }: Checked): string[] {
  const { duplicates, leaks, withoutAnswer, tokens } = result;
  const counts = [
    ["rows that can be used", String(result.rows.filter(({ error }) => error === undefined).length)],
    ["rows that cannot", String(unusableRows(result))],
    ["duplicates", String(duplicates.length)],
    ["without an answer", String(withoutAnswer.length)],
    ["sharing a picture with the other data", String(leaks.length)],
  ];
  return [
    ...formatTable(counts),
    "",
    ...statisticsLines(result.statistics),
    ...(tokens === undefined ? [] : ["", ...tokenLines(tokens, maxPromptTokens)]),
    ...(rewards === undefined ? [] : ["", ...rewardLines(rewards, result.rows.length)]),
    ...prompts.flatMap(promptLines),
  ];
}

function promptLines({ id, tokens, pictures, prompt, answer }: RenderedPrompt): string[] {
  const sizes = pictures.map(
    ({ width, height, resizedWidth, resizedHeight, tokens: own }) =>
      `, a picture of ${width}×${height} as ${resizedWidth}×${resizedHeight} (${own} tokens)`,
  );
  return ["", `--- ${id}: ${tokens} tokens${sizes.join("")}`, prompt.trimEnd(), `--- answer: ${answer}`];
}

function tokenLines(tokens: NonNullable<CheckResult["tokens"]>, maxPromptTokens: number | undefined): string[] {
  const line = (name: string, { min, median, p95, max }: Quantiles) => [name, ...[min, median, p95, max].map(String)];
  const table = formatTable([
    ["", "least", "median", "95 %", "most"],
    line("tokens of a prompt", tokens.prompt),
    line("  of its pictures", tokens.pictures),
    line("tokens of an answer", tokens.answer),
    line("width of a picture, resized", tokens.width),
    line("height", tokens.height),
  ]);
  return maxPromptTokens === undefined
    ? table
    : [...table, `the model has room for prompts of ${maxPromptTokens} tokens`];
}

function rewardLines(rewards: readonly RewardCheck[], rows: number): string[] {
  return formatTable([
    ["reward", "applies to", "own answers: mean", "least"],
    ...rewards.map(({ name, applies, mean, least }) => [
      name,
      `${applies} of ${rows}`,
      mean === null ? "–" : mean.toFixed(3),
      least === null ? "–" : least.toFixed(3),
    ]),
  ]);
}

/** Names as files of this package have them. */
export function checkJson({ result, rewards, prompts, maxPromptTokens }: Checked): unknown {
  const { problems, renamed, withoutAnswer, duplicates, leaks, statistics, tokens } = result;
  return {
    unusable: unusableRows(result),
    problems,
    renamed,
    without_answer: withoutAnswer,
    duplicates,
    leaks,
    statistics,
    ...(tokens !== undefined && { tokens, max_prompt_tokens: maxPromptTokens ?? null }),
    ...(rewards !== undefined && { rewards }),
    prompts: prompts.map(({ id, prompt, answer }) => ({ id, prompt, answer })),
    rows: result.rows.map(({ row, pictures, tokens: own, error }) => ({
      id: row.id,
      pictures: pictures.map(({ width, height, resizedWidth, resizedHeight, tokens: picture }, index) => ({
        path: row.images[index],
        width,
        height,
        ...(picture !== undefined && { resized_width: resizedWidth, resized_height: resizedHeight, tokens: picture }),
      })),
      ...(own !== undefined && { prompt_tokens: own.prompt, picture_tokens: own.pictures, answer_tokens: own.answer }),
      ...(error !== undefined && { error }),
    })),
  };
}
