import { readFile } from "node:fs/promises";
import type { z } from "zod";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { finiteMetrics } from "./make-record.js";
import { metricsOf } from "./metrics.js";
import { type EvaluationRecord, EvaluationRecordSchema, type RecordedAnswer, RecordedAnswerSchema } from "./record.js";

const HOW_TO_MAKE =
  "Make it anew: `vlmr1-native eval --model MODEL --dataset DATA --answers FILE` writes answers of this version, " +
  "and so does a new run into its before.json and after.json.";

/**
 * Reads an evaluation: a run's `before.json` or `after.json`, or the lines that `eval --answers` writes, whose metrics
 * are computed again. Throws `ERR_DATA` where the file is neither, naming the line, or is of an older version.
 */
export async function readRecord(path: string): Promise<EvaluationRecord> {
  let text: string;
  try {
    text = (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
  } catch (error) {
    throw fromSystem(error, "read the answers", path);
  }
  return parseRecord(text, path);
}

/** The same of a file's text; `path` is for messages. */
export function parseRecord(text: string, path: string): EvaluationRecord {
  const whole = wholeJson(text);
  const record = isObject(whole) && "answers" in whole ? checkRecord(whole, path) : recordOfLines(text, path);
  if (record.answers.length === 0) throw dataError(`${path}: there are no answers in it`);
  checkTwice(record.answers, path);
  return record;
}

/** Undefined where the text is not one JSON value: then it is several lines, or no JSON at all. */
function wholeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checkRecord(value: object, path: string): EvaluationRecord {
  const { version, answers } = value as { version?: unknown; answers?: unknown };
  // The first version had no number, and its answers were keyed by their rows' ids.
  if (version === undefined && isObject(answers)) throw olderVersion(path);
  if (typeof version === "number" && version > 2) {
    throw dataError(`${path}: is of version ${version}; this program reads version 2`, "Update vlmr1-native.");
  }
  const { data, error } = EvaluationRecordSchema.safeParse(value);
  if (error !== undefined) throw dataError(`${path}: ${firstIssue(error)}`, HOW_TO_MAKE);
  return data;
}

function recordOfLines(text: string, path: string): EvaluationRecord {
  const answers: RecordedAnswer[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() !== "") answers.push(parseLine(line, `${path}, line ${index + 1}`, path));
  }
  const rewards = [...new Set(answers.flatMap((answer) => Object.keys(answer.rewards)))];
  const perRow = answers.reduce((most, { sample }) => Math.max(most, sample + 1), 1);
  return { version: 2, metrics: finiteMetrics(metricsOf(answers, rewards, perRow)), answers };
}

function parseLine(line: string, place: string, path: string): RecordedAnswer {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    const hint = "Expected a run's after.json, or the lines that `vlmr1-native eval --answers FILE` writes.";
    throw new VlmR1Error("ERR_DATA", `${place}: not valid JSON: ${(cause as Error).message}`, { hint, cause });
  }
  const { data, error } = RecordedAnswerSchema.safeParse(value);
  if (error === undefined) return data;
  // Earlier lines had neither the question nor its pictures.
  if (isObject(value) && "completion" in value && !("question" in value)) throw olderVersion(path);
  throw dataError(`${place}: ${firstIssue(error)}`, HOW_TO_MAKE);
}

function checkTwice(answers: readonly RecordedAnswer[], path: string): void {
  const seen = new Set<string>();
  for (const { id, sample } of answers) {
    const key = `${sample} ${id}`;
    if (seen.has(key)) throw dataError(`${path}: answer ${sample} of row ${JSON.stringify(id)} is there twice`);
    seen.add(key);
  }
}

function olderVersion(path: string): VlmR1Error {
  return dataError(`${path}: is of an older version, without questions and pictures`, HOW_TO_MAKE);
}

function dataError(message: string, hint?: string): VlmR1Error {
  return new VlmR1Error("ERR_DATA", message, { hint });
}

function firstIssue({ issues }: z.ZodError): string {
  const [issue] = issues;
  const where = issue?.path.join(".");
  return `${where === "" || where === undefined ? "an answer" : where}: ${issue?.message ?? "is not as expected"}`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
