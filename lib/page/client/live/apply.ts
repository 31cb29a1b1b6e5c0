import type { Columns, PageData, PageEvents, PageRun } from "../../page-data.js";
import type { Topic } from "../base/store.js";

const MAX_COMPLETIONS = 500;
const MAX_WARNINGS = 500;
const MAX_POINTS = 8000;

/** The events that change the data of the run that is under way; the first one of the page. */
export type ChangeName = "step" | "evaluation" | "completions" | "warning" | "status";
type Changes = { [N in ChangeName]: (run: PageRun, value: PageEvents[N], data: PageData) => Topic[] };

const CHANGES: Changes = {
  step(run, { step, totalSteps, values }) {
    run.step = step;
    run.totalSteps = totalSteps;
    addRow(run.steps, step, values);
    return ["steps", "status"];
  },
  evaluation(run, { step, values }) {
    addRow(run.evaluations, step, values);
    return ["evaluations"];
  },
  completions(run, completions) {
    run.completions = [...completions, ...run.completions].slice(0, MAX_COMPLETIONS);
    return ["completions"];
  },
  warning(run, warning) {
    run.warnings = [...run.warnings, warning].slice(-MAX_WARNINGS);
    return ["warnings"];
  },
  status(run, { status, step, reason, learningRate }, data) {
    Object.assign(run, { status, step, reason });
    if (data.live) data.live.learningRate = learningRate;
    return ["status"];
  },
};

/** Applies an event to the page's data, and says what it changed. */
export function applyChange<N extends ChangeName>(data: PageData, name: N, value: PageEvents[N]): Topic[] {
  const [run] = data.runs;
  return run ? CHANGES[name](run, value, data) : [];
}

/** Adds a step's values; those of the same and of later steps, from before a resume, go. */
export function addRow(columns: Columns, step: number, values: Record<string, number | null>): void {
  let length = columns.step.length;
  while (length > 0 && (columns.step[length - 1] as number) >= step) length -= 1;
  columns.step.length = length;
  for (const column of Object.values(columns.values)) column.length = length;
  columns.step.push(step);
  for (const name of Object.keys(values)) {
    columns.values[name] ??= new Array<null>(length).fill(null);
  }
  for (const [name, column] of Object.entries(columns.values)) column.push(values[name] ?? null);
  if (columns.step.length > MAX_POINTS) thinOlderHalf(columns);
}

/** A page that stays open for days must not grow for ever: of the older half every second step goes. */
function thinOlderHalf(columns: Columns): void {
  const half = columns.step.length / 2;
  const kept = (_: unknown, index: number) => index >= half || index % 2 === 0;
  columns.step = columns.step.filter(kept);
  for (const [name, column] of Object.entries(columns.values)) columns.values[name] = column.filter(kept);
}
