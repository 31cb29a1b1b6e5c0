import type { PageData, PageRun } from "../../lib/page/page-data.js";

/** A run of which nothing is known yet. */
export function emptyRun(name = "run"): PageRun {
  return {
    ...{ name, status: "running", objective: "grpo", step: 0, totalSteps: 0 },
    ...{ steps: { step: [], values: {} }, evaluations: { step: [], values: {} } },
    ...{ gallery: [], regressions: [], completions: [], warnings: [], config: {}, environment: {} },
  };
}

export function emptyPage(title = "a page"): PageData {
  return {
    ...{ kind: "dashboard", title, version: "1.2.3", made: "2026-01-01T00:00:00.000Z" },
    ...{ runs: [emptyRun()], pictures: [] },
  };
}
