import type { Columns, PageRun } from "../../page-data.js";
import type { ChartSpec, Line } from "./catalog.js";
import { smooth } from "./smooth.js";

export type Values = (number | null | undefined)[];

/** A line of a chart: of one run, one metric. */
export interface Series {
  /** What the legend says. */
  label: string;
  style: Line["style"];
  /** Into the colours and the dashes. */
  colour: number;
  dash: number;
  /** As measured, and as drawn. */
  raw: Values;
  drawn: Values;
  band?: { low: Values; high: Values } | undefined;
}

export interface ChartData {
  /** Steps at which anything of the chart was measured. */
  steps: number[];
  series: Series[];
}

/** What is set, not measured: there is nothing to smooth. */
const EXACT = new Set(["learning_rate", "num_tokens", "epoch"]);

/** Everything of a chart on one axis of steps; what was not measured at a step is undefined there. */
export function chartData(spec: ChartSpec, runs: readonly PageRun[], smoothing: number): ChartData {
  const lines = runs.flatMap((run, runIndex) =>
    spec.lines.flatMap((line, lineIndex) => {
      const columns = columnsOf(run, line.metric);
      const isThere = columns.values[line.metric]?.some((value) => value !== null);
      return isThere ? [{ run, line, columns, runIndex, lineIndex }] : [];
    }),
  );
  const steps = [...new Set(lines.flatMap(({ columns }) => columns.step))].sort((a, b) => a - b);
  const places = new Map(steps.map((step, index) => [step, index]));
  const place = (columns: Columns, metric: string) => placed(columns, metric, places);
  const series = lines.map(({ run, line, columns, runIndex, lineIndex }): Series => {
    const raw = place(columns, line.metric);
    const drawn = line.style === "line" && !EXACT.has(line.metric) ? smooth(raw, smoothing) : raw;
    // Of several runs the bands would cover each other.
    const band = lineIndex === 0 && runs.length === 1 ? bandOf(spec, drawn, columns, place, smoothing) : undefined;
    return { ...look(spec, runs, line, runIndex, lineIndex), label: labelOf(spec, runs, run, line), raw, drawn, band };
  });
  return { steps, series };
}

function columnsOf(run: PageRun, metric: string): Columns {
  return metric.startsWith("eval_") ? run.evaluations : run.steps;
}

function placed(columns: Columns, metric: string, places: ReadonlyMap<number, number>): Values {
  const values: Values = new Array(places.size).fill(undefined);
  const column = columns.values[metric] ?? [];
  for (const [index, step] of columns.step.entries()) values[places.get(step) as number] = column[index];
  return values;
}

/** Of one run the colours tell the metrics apart, of several the runs; then dashes tell the metrics apart. */
function look({ lines }: ChartSpec, runs: readonly PageRun[], { metric, style }: Line, run: number, line: number) {
  if (runs.length > 1) return { style, colour: run, dash: run + line };
  // The held-out points of a reward have its colour.
  const training = lines.findIndex((other) => `eval_${other.metric}` === metric);
  const own = training >= 0 && lines.length > 2 ? training : line;
  return { style, colour: own, dash: own };
}

function labelOf({ lines }: ChartSpec, runs: readonly PageRun[], run: PageRun, { label }: Line): string {
  if (runs.length === 1) return label;
  return lines.length === 1 ? run.name : `${run.name}: ${label}`;
}

type Place = (columns: Columns, metric: string) => Values;

function bandOf(spec: ChartSpec, centre: Values, columns: Columns, place: Place, smoothing: number) {
  if (!spec.band) return undefined;
  const drawn = (metric: string) => smooth(place(columns, metric), smoothing);
  if (!("spread" in spec.band)) return { low: drawn(spec.band.low), high: drawn(spec.band.high) };
  const spread = drawn(spec.band.spread);
  const shifted = (sign: number) =>
    centre.map((value, index) => {
      const by = spread[index];
      return typeof value === "number" && typeof by === "number" ? value + sign * by : undefined;
    });
  return { low: shifted(-1), high: shifted(1) };
}

/** First, last, least and greatest of what was measured. */
export function summaryOf(values: Values): { first: number; last: number; min: number; max: number } | undefined {
  const present = values.filter((value): value is number => typeof value === "number");
  if (present.length === 0) return undefined;
  const [min, max] = present.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  return { first: present[0] as number, last: present.at(-1) as number, min, max };
}

/** The value at a place, or the last one before it: evaluations are rare. */
export function valueAt(values: Values, index: number): number | undefined {
  for (let at = Math.min(index, values.length - 1); at >= 0; at -= 1) {
    const value = values[at];
    if (typeof value === "number") return value;
  }
  return undefined;
}
