import type { PageRun } from "../../page-data.js";
import { titled } from "../base/text.js";

/** A measured number: of the steps, or of the evaluations, whose names begin with "eval_". */
export interface Line {
  metric: string;
  label: string;
  /** Evaluations are points where they stand beside steps. */
  style: "line" | "points" | "both";
}

export type Unit = "share" | "seconds" | "tokens" | "none";

export interface ChartSpec {
  id: string;
  title: string;
  /** What it tells, in one line. */
  hint: string;
  unit: Unit;
  lines: Line[];
  /** Around the first line: ± a deviation, or from a metric to another. */
  band?: { spread: string } | { low: string; high: string } | undefined;
  /** As wide as the page. */
  wide?: boolean;
}

/** A chart as the table below has it: metrics with their labels, those of evaluations as points. */
interface Entry extends Omit<ChartSpec, "lines"> {
  metrics: Record<string, string>;
}

const REWARD: Entry = {
  ...{ id: "reward", title: "Reward", unit: "none", wide: true },
  hint: "Weighted sum of the rewards: mean of a step ± its standard deviation, and the held-out mean",
  metrics: { reward: "Training", eval_reward: "Held-out" },
  band: { spread: "reward_std" },
};

const CHARTS: readonly Entry[] = [
  {
    ...{ id: "held-out", title: "Held-out answers that are right", unit: "share" },
    hint: "Share of held-out questions",
    metrics: {
      eval_name_accuracy: "Right name",
      eval_number_accuracy: "Right number",
      eval_format_rate: "Right format",
    },
  },
  {
    ...{ id: "loss", title: "Loss", unit: "none" },
    hint: "What is minimised",
    metrics: { loss: "Training", policy_loss: "Policy alone", eval_loss: "Held-out" },
  },
  {
    ...{ id: "length", title: "Completion length", unit: "tokens" },
    hint: "Tokens: mean of a step, from the shortest to the longest",
    metrics: { "completions/mean_length": "Mean", "eval_completions/mean_length": "Held-out" },
    band: { low: "completions/min_length", high: "completions/max_length" },
  },
  {
    ...{ id: "clipped", title: "Completions cut off", unit: "share" },
    hint: "Share that reached the longest allowed length without an end",
    metrics: { "completions/clipped_ratio": "Training", "eval_completions/clipped_ratio": "Held-out" },
  },
  {
    ...{ id: "entropy", title: "Entropy", unit: "none" },
    hint: "Of the next token, in nats; near 0 nothing new is tried",
    metrics: { entropy: "Entropy" },
  },
  {
    ...{ id: "kl", title: "KL divergence", unit: "none" },
    hint: "From the reference model, per token",
    metrics: { kl: "KL" },
  },
  {
    ...{ id: "grad-norm", title: "Gradient norm", unit: "none" },
    hint: "Before and after clipping",
    metrics: { grad_norm: "Norm", grad_norm_clipped: "Clipped" },
  },
  {
    ...{ id: "no-signal", title: "Groups without a signal", unit: "share" },
    hint: "Share of groups whose completions all earn the same",
    metrics: { frac_reward_zero_std: "Equal rewards", frac_groups_skipped: "Left out" },
  },
  {
    ...{ id: "clip-ratio", title: "Clipped tokens", unit: "share" },
    hint: "Share whose probability ratio left the trusted region",
    metrics: { "clip_ratio/region_mean": "Both", "clip_ratio/low_mean": "Below", "clip_ratio/high_mean": "Above" },
  },
  {
    ...{ id: "learning-rate", title: "Learning rate", unit: "none" },
    hint: "As the schedule has it",
    metrics: { learning_rate: "Rate" },
  },
  {
    ...{ id: "step-time", title: "Time of a step", unit: "seconds" },
    hint: "Seconds",
    metrics: { step_time: "Time" },
  },
];

/** Told elsewhere on the page, or by another chart's band. */
const ELSEWHERE = new Set(["epoch", "reward_std"]);

export interface Catalog {
  main: ChartSpec[];
  /** A chart for every number that has no place in the main ones. */
  more: ChartSpec[];
}

/** The charts of what these runs have measured. */
export function catalogOf(runs: readonly PageRun[]): Catalog {
  const metrics = metricsOf(runs);
  const several = runs.length > 1;
  const main = [
    ...specOf(REWARD, metrics),
    ...components(metrics, several),
    ...CHARTS.flatMap((entry) => specOf(entry, metrics)),
  ];
  const used = new Set([...ELSEWHERE, ...main.flatMap(metricsIn)]);
  const more = [...metrics].filter((metric) => !used.has(metric)).map(single);
  return { main, more };
}

/** All metrics that have at least one number. */
export function metricsOf(runs: readonly PageRun[]): Set<string> {
  const names = new Set<string>();
  for (const { steps, evaluations } of runs) {
    for (const { values } of [steps, evaluations]) {
      for (const [name, column] of Object.entries(values)) if (column.some((value) => value !== null)) names.add(name);
    }
  }
  return names;
}

function metricsIn({ lines, band }: ChartSpec): string[] {
  const names = lines.map(({ metric }) => metric);
  if (!band) return names;
  return [...names, ...("spread" in band ? [band.spread] : [band.low, band.high])];
}

function specOf({ metrics: labels, ...entry }: Entry, metrics: ReadonlySet<string>): ChartSpec[] {
  const present = Object.keys(labels).filter((metric) => metrics.has(metric));
  if (present.length === 0) return [];
  const lines = styled(present.map((metric) => ({ metric, label: labels[metric] as string })));
  return [{ ...entry, lines }];
}

/** One chart for all rewards of a run; with several runs a chart per reward, where each line is a run. */
function components(metrics: ReadonlySet<string>, several: boolean): ChartSpec[] {
  const names = [...metrics].flatMap((metric) => /^rewards\/(.+)\/mean$/.exec(metric)?.[1] ?? []);
  const linesOf = (name: string, label: string) => [
    { metric: `rewards/${name}/mean`, label },
    ...(metrics.has(`eval_rewards/${name}/mean`)
      ? [{ metric: `eval_rewards/${name}/mean`, label: `${label}, held-out` }]
      : []),
  ];
  const hint = "Mean of a step, and of the held-out data";
  if (several || names.length > 4) {
    return names.map((name) => ({
      ...{ id: `reward-${name}`, title: `Reward: ${titled(name)}`, hint, unit: "none" as const },
      lines: styled(linesOf(name, titled(name))),
    }));
  }
  if (names.length === 0) return [];
  const lines = styled(names.flatMap((name) => linesOf(name, titled(name))));
  return [{ id: "components", title: "Reward by component", hint, unit: "none", lines }];
}

function single(metric: string): ChartSpec {
  const style = metric.startsWith("eval_") ? "both" : "line";
  return {
    ...{ id: `metric-${metric}`, title: metric, hint: "", unit: "none" },
    lines: [{ metric, label: metric, style }],
  };
}

/** Evaluations are few: points beside a line of steps, and lines with points where they are alone. */
function styled(lines: readonly { metric: string; label: string }[]): Line[] {
  const alone = lines.every(({ metric }) => metric.startsWith("eval_"));
  return lines.map((line) => ({
    ...line,
    style: line.metric.startsWith("eval_") ? (alone ? "both" : "points") : "line",
  }));
}
