import type { PageData, PageRun } from "../../page-data.js";

/** What has changed since the page was drawn last. */
export type Topic =
  | "page"
  | "steps"
  | "evaluations"
  | "completions"
  | "warnings"
  | "status"
  | "progress"
  | "connection"
  | "selection";

export type Connection = "none" | "connecting" | "connected" | "lost" | "ended";

const NO_RUN: PageRun = {
  ...{ name: "", status: "unknown", objective: "grpo", step: 0, totalSteps: 0 },
  ...{ steps: { step: [], values: {} }, evaluations: { step: [], values: {} } },
  ...{ gallery: [], regressions: [], completions: [], warnings: [], config: {}, environment: {} },
};

type Listener = (topics: ReadonlySet<Topic>) => void;

/** What the page shows. Changes are collected until the browser draws next, however fast they come. */
export class Store {
  /** Index of the run that the parts show which show one run. */
  selected = 0;
  connection: Connection = "none";
  progress: { phase: string; fraction: number } | null = null;
  private readonly listeners: Listener[] = [];
  private readonly changed = new Set<Topic>();

  /** What the page shows now; change it by `replace`, or in place. */
  data: PageData;

  constructor(data: PageData) {
    this.data = withUniqueNames(data);
  }

  replace(data: PageData): void {
    this.data = withUniqueNames(data);
    this.change("page");
  }

  get run(): PageRun {
    return this.data.runs[this.selected] ?? this.data.runs[0] ?? NO_RUN;
  }

  /** Where a picture is: a report holds its own, a dashboard's come from its server. */
  pictureUrl(picture: string): string | undefined {
    return this.data.kind === "report" ? this.data.pictures[Number(picture)] : picture;
  }

  subscribe(listener: Listener): void {
    this.listeners.push(listener);
  }

  change(...topics: Topic[]): void {
    if (this.changed.size === 0) requestAnimationFrame(() => this.flush());
    for (const topic of topics) this.changed.add(topic);
  }

  /** Tells of the changes now. */
  flush(): void {
    if (this.changed.size === 0) return;
    const topics = new Set(this.changed);
    this.changed.clear();
    for (const listener of this.listeners) listener(topics);
  }
}

/** Runs of different folders may have one name; legends and tables tell them apart by it. */
export function withUniqueNames(data: PageData): PageData {
  const seen = new Map<string, number>();
  const runs = data.runs.map((run) => {
    const count = (seen.get(run.name) ?? 0) + 1;
    seen.set(run.name, count);
    return count === 1 ? run : { ...run, name: `${run.name} (${count})` };
  });
  return { ...data, runs };
}
