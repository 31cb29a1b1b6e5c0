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

/**
 * The questions that were answered, by their rows' ids, out of the data set that a run was configured with. Without those
 * whose row, or whose data set, is not there any more or now expects something else.
 */
export async function questionsOf(
  answers: readonly { id: string; solution: string }[],
  { config, workingFolder }: DataSource,
  signal?: AbortSignal,
): Promise<Map<string, Question>> {
  const found = new Map<string, Question>();
  const expected = new Map(answers.map(({ id, solution }) => [id, solution]));
  const paths = splitPaths(textsOf(config.dataset)).map((path) => resolve(workingFolder, path));
  if (expected.size === 0 || paths.length === 0 || !(await areSmallFiles(paths))) return found;
  const folders = splitPaths(textsOf(config.image_folders)).map((path) => resolve(workingFolder, path));
  const options = { imageFolders: folders.length === 0 ? undefined : folders, checkImages: false, signal };
  try {
    const { rows } = await loadConversations(paths, options);
    for (const row of rows) {
      if (expected.get(row.id) !== expectedAnswer(row.solution)) continue;
      found.set(row.id, { question: questionOf(row), images: row.images });
    }
  } catch (error) {
    if (isAbort(error, signal)) throw error;
    // What was trained on has changed since then: the page shows what the run itself has written.
  }
  return found;
}

/** Paths, in a field that takes one or a list. */
function textsOf(value: unknown): string[] {
  return [value].flat().filter((item): item is string => typeof item === "string");
}

async function areSmallFiles(paths: readonly string[]): Promise<boolean> {
  let bytes = 0;
  for (const path of paths) {
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile() !== true) return false;
    bytes += stats.size;
  }
  return bytes <= MOST_BYTES;
}
