import { formatDuration } from "../../../report/format.js";
import type { Columns, HeldOut, PageRun } from "../../page-data.js";
import { h } from "../base/dom.js";
import { stat } from "../base/parts.js";
import {
  counted,
  formatDifference,
  formatInterval,
  formatReward,
  formatScore,
  formatValue,
  titled,
} from "../base/text.js";

const MAX_SCORES = 4;
/** A step's reward says little: so many of the first and of the last ones are averaged. */
const WINDOW = 10;

/** The few numbers that tell how a run went. */
export function keyNumbers(run: PageRun): HTMLElement[] {
  return [...(run.heldOut ? scores(run.heldOut) : evaluated(run)), ...trainingReward(run), ...effort(run)];
}

type Score = HeldOut["scores"][number];

function scores({ scores: all }: HeldOut): HTMLElement[] {
  const main = all.filter(({ name }) => !name.includes("/"));
  return (main.length > 0 ? main : all).slice(0, MAX_SCORES).map((score) => {
    const { unit, first, second, difference } = score;
    const label = score.name === "reward" ? "Held-out reward" : titled(score.name);
    const change = h(
      "span",
      { class: `change ${verdictOf(score)}` },
      `${ARROWS[verdictOf(score)]} ${formatDifference(difference.value, unit)}`,
    );
    const interval = h("span", { class: "detail" }, `95 %: ${formatInterval(difference, unit)}`);
    return stat(label, fromTo(formatScore(first, unit), formatScore(second, unit)), change, interval);
  });
}

const ARROWS = { good: "▲", bad: "▼", none: "●" };

/** Of which more is neither better nor worse. */
export const NEUTRAL = new Set(["tokens"]);

/** A difference whose interval holds 0 may be chance. */
export function verdictOf({ name, difference: { low, high } }: Score): "good" | "bad" | "none" {
  if (NEUTRAL.has(name)) return "none";
  return low > 0 ? "good" : high < 0 ? "bad" : "none";
}

function fromTo(first: string, second: string): HTMLElement {
  return h(
    "span",
    { class: "from-to" },
    h("span", { class: "from" }, first),
    h("span", { class: "arrow", "aria-label": "to" }, "→"),
    h("span", {}, second),
  );
}

/** Without answers before and after: the first and the last evaluation. */
function evaluated({ evaluations }: PageRun): HTMLElement[] {
  const names = { eval_reward: "Held-out reward", eval_loss: "Held-out loss" };
  return Object.entries(names).flatMap(([metric, label]) => {
    const values = present(evaluations, metric);
    if (values.length === 0) return [];
    const detail = h("span", { class: "detail" }, counted(values.length, "evaluation"));
    const [first, last] = [formatValue(values[0]), formatValue(values.at(-1))];
    return [stat(label, values.length === 1 ? first : fromTo(first, last), detail)];
  });
}

function trainingReward({ steps }: PageRun): HTMLElement[] {
  const [metric, label] = steps.values.reward
    ? (["reward", "Training reward"] as const)
    : (["loss", "Training loss"] as const);
  const values = present(steps, metric);
  const format = metric === "reward" ? formatReward : formatValue;
  const [only] = values;
  if (only === undefined) return [];
  if (values.length === 1) return [stat(label, format(only), h("span", { class: "detail" }, "of one step"))];
  const size = Math.min(WINDOW, Math.floor(values.length / 2));
  const ends = [values.slice(0, size), values.slice(-size)].map((part) => format(mean(part)));
  const detail = size === 1 ? "the first and the last step" : `mean of the first and the last ${size} steps`;
  return [stat(label, fromTo(ends[0] as string, ends[1] as string), h("span", { class: "detail" }, detail))];
}

/** What the training earns by now. */
export function latestReward({ steps }: PageRun): number | undefined {
  const values = present(steps, "reward");
  return values.length === 0 ? undefined : mean(values.slice(-WINDOW));
}

function effort({ steps, status, step, totalSteps }: PageRun): HTMLElement[] {
  const times = present(steps, "step_time");
  if (times.length === 0) return [];
  // Long runs come with some of their steps: the time of the others is as theirs.
  const all = (steps.step.at(-1) as number) - (steps.step[0] as number) + 1;
  const left = 1000 * mean(times.slice(-WINDOW)) * (totalSteps - step);
  const isRunning = status === "running" && left > 0;
  const detail = `${formatValue(mean(times))} s a step${isRunning ? `, about ${formatDuration(left)} left` : ""}`;
  return [stat("Time of the steps", formatDuration(1000 * mean(times) * all), h("span", { class: "detail" }, detail))];
}

function present(columns: Columns, metric: string): number[] {
  return (columns.values[metric] ?? []).filter((value) => value !== null);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
