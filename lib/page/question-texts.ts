import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { loadConversations, splitPaths } from "../data/datasets/index.js";
import { expectedAnswer } from "../data/text/answer.js";
import { questionOf } from "../data/text/question.js";
import { isAbort } from "../errors/index.js";

/** What the page shows of a row. */
export interface Question {
  question: string;
  /** Absolute paths. */
  images: string[];
}

/** Larger data sets are not read only for a few questions' texts. */
const MOST_BYTES = 128 * 2 ** 20;

export interface DataSource {
  /** As in config.yaml. */
  config: Readonly<Record<string, unknown>>;
  /** Relative paths of the configuration start here. */
  workingFolder: string;
}

type Questions = ReadonlyMap<string, Question & { expected: string }>;

/** The data set that was read last: a page that follows a run asks for it again and again. */
let latest: { key: string; questions: Questions } | undefined;

/**
 * The questions that were answered, by their rows' ids, out of the data set that a run was configured with. Without those
 * whose row, or whose data set, is not there any more or now expects something else.
 */
export async function questionsOf(
  answers: readonly { id: string; solution: string }[],
  { config, workingFolder }: DataSource,
  signal?: AbortSignal,
): Promise<Map<string, Question>> {
  const paths = splitPaths(textsOf(config.dataset)).map((path) => resolve(workingFolder, path));
  const folders = splitPaths(textsOf(config.image_folders)).map((path) => resolve(workingFolder, path));
  const found = new Map<string, Question>();
  if (answers.length === 0) return found;
  const rows = await questionsIn(paths, folders, signal);
  for (const { id, solution } of answers) {
    const row = rows.get(id);
    if (row !== undefined && row.expected === solution) found.set(id, row);
  }
  return found;
}

/** Paths, in a field that takes one or a list. */
function textsOf(value: unknown): string[] {
  return [value].flat().filter((item): item is string => typeof item === "string");
}

async function questionsIn(
  paths: readonly string[],
  folders: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Questions> {
  const stamp = await stampOf(paths);
  if (stamp === undefined) return new Map();
  const key = JSON.stringify([paths, folders, stamp]);
  if (latest?.key !== key) latest = { key, questions: await readQuestions(paths, folders, signal) };
  return latest.questions;
}

/** What changes when a file does; undefined where one of them is none, there is none, or they are too large. */
async function stampOf(paths: readonly string[]): Promise<number[][] | undefined> {
  const stamps: number[][] = [];
  let bytes = 0;
  for (const path of paths) {
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile() !== true) return undefined;
    stamps.push([stats.size, stats.mtimeMs]);
    bytes += stats.size;
  }
  return paths.length > 0 && bytes <= MOST_BYTES ? stamps : undefined;
}

async function readQuestions(
  paths: readonly string[],
  folders: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Questions> {
  const imageFolders = folders.length === 0 ? undefined : folders;
  try {
    const { rows } = await loadConversations(paths, { imageFolders, checkImages: false, signal });
    return new Map(
      rows.map((row) => [
        row.id,
        { question: questionOf(row), images: row.images, expected: expectedAnswer(row.solution) },
      ]),
    );
  } catch (error) {
    if (isAbort(error, signal)) throw error;
    // What was trained on has changed since then: the page shows what the run itself has written.
    return new Map();
  }
}
