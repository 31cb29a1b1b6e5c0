import { type BootstrapOptions, type PairedDifference, pairedBootstrap } from "./analysis/bootstrap.js";
import { type ClassOf, compareText, expectedName, groupBy } from "./analysis/by-class.js";
import { type PairedRow, pairRows, pictureClusters } from "./analysis/pair-rows.js";
import { mean } from "./analysis/statistics.js";
import type { EvaluationRecord, RecordedAnswer } from "./record.js";

export interface CompareOptions extends Pick<BootstrapOptions, "seed" | "resamples" | "signal"> {
  /** "first" and "second" unless given. */
  labels?: [string, string] | undefined;
  /** What is drawn together: rows that share a picture, or each row for itself; "picture" unless given. */
  cluster?: "picture" | "row" | undefined;
  /** The expected name unless given. */
  classOf?: ClassOf | undefined;
}

/** One score of both, over the rows that have it in both; a row with several answers counts with their mean. */
export interface ScoreComparison extends PairedDifference {
  /** "reward", "rewards/<name>", "right name", "right number", "right format", "tokens". */
  name: string;
  /** "share": of the answers, 0 … 1. */
  unit: "share" | "number";
  first: number;
  second: number;
  rows: number;
}

/** A class of rows; means over the rows that both have. */
export interface ClassComparison {
  name: string;
  rows: number;
  /** Mean reward; null where none applies. */
  reward: { first: number; second: number } | null;
  /** Shares of right names, 0 … 1. */
  rightName: { first: number; second: number };
  /** Sum over the class's rows of the change of the reward, where there is one, else of the share of right names. */
  change: number;
  /** Sum over the class's rows of the change of the share of right names, which may change while the reward stays. */
  nameChange: number;
}

/** A row whose reward is another; null rewards are compared with nothing. */
export interface ChangedRow {
  id: string;
  images: string[];
  question: string;
  solution: string;
  /** The first of its answers, and the mean reward of all of them. */
  first: { completion: string; reward: number };
  second: { completion: string; reward: number };
  /** second − first. */
  difference: number;
}

export interface Comparison {
  labels: [string, string];
  /** Rows that both have: all that follows is about them. */
  rows: number;
  /** What was drawn with replacement: groups of rows that share a picture, or the rows. */
  clusters: number;
  /** Ids of rows that one of the two lacks. */
  onlyFirst: string[];
  onlySecond: string[];
  /** What makes the numbers less comparable than they look, as sentences. */
  notes: string[];
  scores: ScoreComparison[];
  /** Those with the largest change first; of equal ones those whose right names changed most. */
  classes: ClassComparison[];
  /** Rows whose reward rose, the largest rise first. */
  improved: ChangedRow[];
  /** Rows whose reward fell, the largest fall first. */
  worsened: ChangedRow[];
}

/**
 * Two evaluations of the same data set, row by row: before and after, or of two models. Rows are paired by their ids.
 * The items of `scores` are what `HeldOut.scores` of a report's page holds, and more. Throws `ERR_DATA` where the two
 * are of different data. Takes about 10 ns per cluster, resample and score that differs; the event loop goes on meanwhile.
 */
export async function compareRecords(
  first: EvaluationRecord,
  second: EvaluationRecord,
  { labels = ["first", "second"], cluster = "picture", classOf = expectedName, ...bootstrap }: CompareOptions = {},
): Promise<Comparison> {
  const { rows, onlyFirst, onlySecond } = pairRows(first, second);
  const clusters = cluster === "picture" ? pictureClusters(rows) : rows.map((_, row) => row);
  const names = [rewardNames(first), rewardNames(second)] as const;
  const changed = rows.flatMap(changedRow);
  const scores: ScoreComparison[] = [];
  for (const score of scoresIn(names[0].filter((name) => names[1].includes(name))))
    scores.push(...(await compareScore(score, rows, { ...bootstrap, clusters })));
  return {
    labels,
    rows: rows.length,
    clusters: new Set(clusters).size,
    onlyFirst,
    onlySecond,
    notes: [...rewardNotes(labels, names), ...questionNotes(rows)],
    scores,
    classes: compareClasses(rows, classOf),
    improved: changed.filter(({ difference }) => difference > 0).sort((a, b) => b.difference - a.difference),
    worsened: changed.filter(({ difference }) => difference < 0).sort((a, b) => a.difference - b.difference),
  };
}

interface Score {
  name: string;
  unit: "share" | "number";
  of: (answer: RecordedAnswer) => number | null;
}

const REWARD: Score = { name: "reward", unit: "number", of: ({ reward }) => reward };
const RIGHT_NAME: Score = { name: "right name", unit: "share", of: ({ name_right: right }) => Number(right) };

function scoresIn(rewards: readonly string[]): Score[] {
  return [
    REWARD,
    ...rewards.map(
      (name): Score => ({ name: `rewards/${name}`, unit: "number", of: (it) => it.rewards[name] ?? null }),
    ),
    RIGHT_NAME,
    { name: "right number", unit: "share", of: ({ number_right: right }) => Number(right) },
    { name: "right format", unit: "share", of: ({ format_right: right }) => Number(right) },
    { name: "tokens", unit: "number", of: ({ tokens }) => tokens },
  ];
}

/** None where no row has the score in both. */
async function compareScore(
  score: Score,
  rows: readonly PairedRow[],
  options: BootstrapOptions,
): Promise<ScoreComparison[]> {
  const [first, second, clusters]: [number[], number[], number[]] = [[], [], []];
  for (const [index, row] of rows.entries()) {
    const [one, two] = [rowScore(row.first, score), rowScore(row.second, score)];
    if (one === null || two === null) continue;
    first.push(one);
    second.push(two);
    clusters.push(options.clusters?.[index] ?? index);
  }
  if (first.length === 0) return [];
  const difference = await pairedBootstrap(first, second, { ...options, clusters });
  const { name, unit } = score;
  return [{ name, unit, first: mean(first), second: mean(second), rows: first.length, ...difference }];
}

/** The mean over the answers that have the score; null where none has. */
function rowScore(answers: readonly RecordedAnswer[], { of }: Score): number | null {
  const values = answers.map(of).filter((value) => value !== null);
  return values.length === 0 ? null : mean(values);
}

function compareClasses(rows: readonly PairedRow[], classOf: ClassOf): ClassComparison[] {
  const classes = [...groupBy(rows, ({ first }) => classOf(first[0] as RecordedAnswer))].map(([name, own]) => {
    const [rightName, reward] = [pairedMeans(own, RIGHT_NAME), pairedMeans(own, REWARD)];
    return {
      name,
      rows: own.length,
      reward: reward === null ? null : { first: reward.first, second: reward.second },
      rightName: { first: rightName?.first ?? 0, second: rightName?.second ?? 0 },
      change: sumOfChange(reward ?? rightName),
      nameChange: sumOfChange(rightName),
    };
  });
  return classes.sort(
    (a, b) =>
      Math.abs(b.change) - Math.abs(a.change) ||
      Math.abs(b.nameChange) - Math.abs(a.nameChange) ||
      compareText(a.name, b.name),
  );
}

interface PairedMeans {
  first: number;
  second: number;
  /** Rows. */
  count: number;
}

function sumOfChange(means: PairedMeans | null): number {
  return means === null ? 0 : means.count * (means.second - means.first);
}

/** Means over the rows that have the score in both, and how many these are; null where none has. */
function pairedMeans(rows: readonly PairedRow[], score: Score): PairedMeans | null {
  const pairs = rows.flatMap(({ first, second }) => {
    const [one, two] = [rowScore(first, score), rowScore(second, score)];
    return one === null || two === null ? [] : [[one, two] as const];
  });
  if (pairs.length === 0) return null;
  return { first: mean(pairs.map(([one]) => one)), second: mean(pairs.map(([, two]) => two)), count: pairs.length };
}

function changedRow({ id, first, second }: PairedRow): ChangedRow[] {
  const [one, two] = [rowScore(first, REWARD), rowScore(second, REWARD)];
  if (one === null || two === null || one === two) return [];
  const [before, after] = [first[0] as RecordedAnswer, second[0] as RecordedAnswer];
  const { images, question, solution } = before;
  return [
    {
      id,
      images,
      question,
      solution,
      first: { completion: before.completion, reward: one },
      second: { completion: after.completion, reward: two },
      difference: two - one,
    },
  ];
}

function rewardNames({ answers }: EvaluationRecord): string[] {
  return [...new Set(answers.flatMap(({ rewards }) => Object.keys(rewards)))];
}

function rewardNotes(labels: readonly [string, string], [one, two]: readonly [string[], string[]]): string[] {
  if (one.length === two.length && one.every((name) => two.includes(name))) return [];
  const list = (names: readonly string[]) => names.join(", ") || "no rewards";
  return [
    `"reward" is the sum of other rewards: ${labels[0]} was judged by ${list(one)}; ${labels[1]} by ${list(two)}`,
  ];
}

function questionNotes(rows: readonly PairedRow[]): string[] {
  const questionOf = ([answer]: readonly RecordedAnswer[]) => answer?.question;
  const others = rows.filter(({ first, second }) => questionOf(first) !== questionOf(second));
  const [example] = others;
  return example === undefined
    ? []
    : [`${others.length} of ${rows.length} rows were asked another question in the other evaluation: ${example.id} …`];
}
