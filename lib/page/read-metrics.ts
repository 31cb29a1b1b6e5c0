import { throwIfAborted } from "../errors/index.js";
import { linesOf } from "../report/json-lines.js";
import { MetricTable } from "./metric-table.js";

export interface RunMetrics {
  steps: MetricTable;
  evaluations: MetricTable;
}

/** Reads `metrics.jsonl`, however long it is. What is no whole line, such as a torn last one, is passed over. */
export async function readMetrics(path: string, maxPoints: number, signal?: AbortSignal): Promise<RunMetrics> {
  const metrics = { steps: new MetricTable(maxPoints), evaluations: new MetricTable(maxPoints) };
  for await (const line of linesOf(path)) {
    throwIfAborted(signal);
    const values = objectOf(line);
    const step = values?.step;
    if (values === undefined || typeof step !== "number" || !Number.isFinite(step)) continue;
    const named = Object.entries(values).filter(([name]) => name !== "step");
    const evaluation = named.length > 0 && named.every(([name]) => name.startsWith("eval_"));
    metrics[evaluation ? "evaluations" : "steps"].add(step, named);
  }
  return metrics;
}

/** A line of JSON that is an object; undefined for any other. */
export function objectOf(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
