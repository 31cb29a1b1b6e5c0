import type { Example } from "../../page-data.js";
import { changeOf, isRight } from "../base/verdict.js";

export const FILTERS = { all: "All", better: "Better", worse: "Worse", wrong: "Wrong at the end" } as const;
export type Filter = keyof typeof FILTERS;

export const ORDERS = {
  given: "As sampled",
  gain: "Largest gain first",
  loss: "Largest loss first",
  reward: "Lowest reward first",
} as const;
export type Order = keyof typeof ORDERS;

/** The examples that pass, in their order; equal ones stay as they came. */
export function chooseExamples(examples: readonly Example[], filter: Filter, search: string, order: Order): Example[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = examples.filter((example) => passes(example, filter) && contains(example, words));
  if (order === "given") return chosen;
  const key = { gain: (one: Example) => -gainOf(one), loss: gainOf, reward: (one: Example) => rewardOf(one, -1) }[
    order
  ];
  return chosen.toSorted((a, b) => key(a) - key(b));
}

/** How many examples pass each filter. */
export function countFilters(examples: readonly Example[]): Record<Filter, number> {
  const count = (filter: Filter) => examples.filter((example) => passes(example, filter)).length;
  return { all: examples.length, better: count("better"), worse: count("worse"), wrong: count("wrong") };
}

function passes(example: Example, filter: Filter): boolean {
  if (filter === "all") return true;
  const last = example.answers.at(-1);
  if (filter === "wrong") return last !== undefined && !isRight(last, example.solution);
  return changeOf(example) === filter;
}

function contains({ id, question, solution, answers }: Example, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = [id, question, solution, ...answers.map(({ text }) => text)].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

function rewardOf({ answers }: Example, index: number): number {
  return answers.at(index)?.reward ?? 0;
}

function gainOf(example: Example): number {
  return rewardOf(example, -1) - rewardOf(example, 0);
}
