import { basename, resolve } from "node:path";
import { mapBounded } from "../data/map-bounded.js";
import { newestFirst, rewardOf } from "./completions.js";
import { describeEnvironment } from "./environment.js";
import { answeredQuestions, pickGallery, pickRegressions, toExample } from "./examples.js";
import { toHeldOut } from "./held-out.js";
import type { PageCompletion, PageRun } from "./page-data.js";
import type { RunRecord } from "./run-record.js";
import { clip } from "./text.js";

/** Where pictures of a page lie; what it gives for a path stands in `pictures` of examples and completions. */
export interface PictureStore {
  /** Undefined for what is no picture that can be shown. */
  add(path: string): Promise<string | undefined>;
}

/** How much of a run a page has. */
export interface Detail {
  /** Held-out questions of the gallery. */
  gallery: number;
  regressions: number;
  /** The newest. */
  completions: number;
  /** Points of a curve. */
  maxPoints: number;
  /** Characters of a text. */
  maxText: number;
}

/** What a page has where nothing else is asked for. */
export const FULL_DETAIL: Detail = { gallery: 60, regressions: 12, completions: 64, maxPoints: 2000, maxText: 8000 };

/** Pictures that are made ready at a time. */
const WIDTH = 4;

/** Chooses what the page shows of a run, cuts it to measure and has its pictures stored. */
export async function toPageRun(
  record: RunRecord,
  store: PictureStore,
  detail: Detail,
  signal?: AbortSignal,
): Promise<PageRun> {
  const { run, config, metrics, records, comparison, environment } = record;
  const questions = answeredQuestions(records);
  const show = {
    pictures: (paths: readonly string[]) => [...paths],
    text: (text: string) => clip(text, detail.maxText),
  };
  const gallery = pickGallery(questions, detail.gallery).map((question) => toExample(question, show));
  const fallen = pickRegressions(questions, comparison?.worsened ?? [], detail.regressions);
  const regressions = fallen.map((question) => toExample(question, show));
  const completions = completionsOf(record, detail);
  await storePictures([...gallery, ...regressions, ...completions], store, signal);
  const step = Math.max(run?.step ?? 0, metrics.steps.lastStep);
  return {
    name: basename(resolve(record.folder)),
    status: record.status,
    objective: environment?.objective ?? ("num_generations" in config ? "grpo" : "sft"),
    step,
    totalSteps: Math.max(run?.totalSteps ?? 0, step),
    reason: run?.reason && show.text(run.reason),
    steps: metrics.steps.thinned(detail.maxPoints),
    evaluations: metrics.evaluations.thinned(detail.maxPoints),
    heldOut: comparison && toHeldOut(comparison),
    gallery,
    regressions,
    completions,
    warnings: record.warnings.map(({ step: at, message }) => ({ step: at, message: show.text(message) })),
    config: { ...config },
    environment: describeEnvironment(environment),
    data: record.data,
  };
}

function completionsOf({ completions, questions, config }: RunRecord, detail: Detail): PageCompletion[] {
  const text = (value: string) => clip(value, detail.maxText);
  return newestFirst(completions, detail.completions).map((line) => ({
    step: line.step,
    id: text(line.id),
    pictures: [...(questions.get(line.id)?.images ?? [])],
    question: text(questions.get(line.id)?.question ?? ""),
    solution: text(line.solution),
    completion: text(line.completion),
    reward: rewardOf(line, config),
    rewards: line.rewards,
    advantage: line.advantage ?? 0,
    tokens: line.tokens,
    finishReason: line.finish_reason,
  }));
}

/** Puts what the store gives in the place of paths. It is asked in the order of the page, for each path once. */
async function storePictures(
  shown: readonly { pictures: string[] }[],
  store: PictureStore,
  signal: AbortSignal | undefined,
): Promise<void> {
  const paths = [...new Set(shown.flatMap(({ pictures }) => pictures))];
  const stored = await mapBounded(paths, (path) => store.add(path), { width: WIDTH, signal });
  const keys = new Map(paths.map((path, index) => [path, stored[index]]));
  for (const item of shown) item.pictures = item.pictures.flatMap((path) => keys.get(path) ?? []);
}
