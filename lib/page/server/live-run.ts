import { chooseRows } from "../metric-table.js";
import type { Columns, PageCompletion, PageEvents, PageRun } from "../page-data.js";

/** What a page keeps of a run that goes on; the files have all of it. */
export const MOST_COMPLETIONS = 500;
const MOST_WARNINGS = 500;
/** Points of a curve, and how many may come to be before they are thinned to that. */
const POINTS = 2000;
const MOST_POINTS = 2 * POINTS;

/** What has come to be known of a run. Made twice it is the same as made once. */
export type Change = (run: PageRun) => void;

export const stepDone =
  ({ step, totalSteps, values }: PageEvents["step"]): Change =>
  (run) => {
    run.step = step;
    run.totalSteps = totalSteps;
    addRow(run.steps, step, values);
    thin(run.steps);
  };

export const evaluated =
  ({ step, values }: PageEvents["evaluation"]): Change =>
  (run) => {
    addRow(run.evaluations, step, values);
    thin(run.evaluations);
  };

/** All of a step; those of a step that was begun before take the place of what came of it then. */
export const completed =
  (completions: readonly PageCompletion[]): Change =>
  (run) => {
    const steps = new Set(completions.map(({ step }) => step));
    const others = run.completions.filter(({ step }) => !steps.has(step));
    run.completions = [...completions, ...others].slice(0, MOST_COMPLETIONS);
  };

export const warned =
  (warning: PageEvents["warning"]): Change =>
  (run) => {
    const known = run.warnings.some(({ step, message }) => step === warning.step && message === warning.message);
    if (!known) run.warnings = [...run.warnings, warning].slice(-MOST_WARNINGS);
  };

export const statusIs =
  ({ status, step, reason }: Omit<PageEvents["status"], "learningRate">): Change =>
  (run) => {
    run.status = status;
    run.step = Math.max(run.step, step);
    run.reason = reason;
  };

/** Numbers that are none are null, as JSON has them. */
export function valuesOf(metrics: Readonly<Record<string, unknown>>): Record<string, number | null> {
  const entries = Object.entries(metrics).filter(([, value]) => value === null || typeof value === "number");
  return Object.fromEntries(entries.map(([name, value]) => [name, Number.isFinite(value) ? (value as number) : null]));
}

/** What is measured of one step in several rows, as of an evaluation that is made anew, is one. */
function addRow(columns: Columns, step: number, values: Readonly<Record<string, number | null>>): void {
  const { length } = columns.step;
  const last = columns.step[length - 1] ?? Number.NEGATIVE_INFINITY;
  const at = step > last ? length : columns.step.findIndex((known) => known >= step);
  if (columns.step[at] !== step) {
    columns.step.splice(at, 0, step);
    for (const column of Object.values(columns.values)) column.splice(at, 0, null);
  }
  for (const [name, value] of Object.entries(values)) {
    columns.values[name] ??= columns.step.map(() => null);
    (columns.values[name] as (number | null)[])[at] = value;
  }
}

/** As the curves of a folder that is read: peaks stay. */
function thin(columns: Columns): void {
  if (columns.step.length <= MOST_POINTS) return;
  const numbers = Object.values(columns.values).map((column) => column.map((value) => value ?? Number.NaN));
  const rows = chooseRows(columns.step, numbers, POINTS);
  const chosen = <T>(column: readonly T[]) => rows.map((row) => column[row] as T);
  columns.step = chosen(columns.step);
  for (const [name, column] of Object.entries(columns.values)) columns.values[name] = chosen(column);
}
