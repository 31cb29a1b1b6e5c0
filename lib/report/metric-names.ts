import type { Metrics } from "./reporter.js";

const EVALUATION = /^(eval|test)_/;

/**
 * Names as Hugging Face's trackers have them, so that dashboards carry over: `eval_reward` → `eval/reward`,
 * `reward` → `train/reward`.
 */
export function trackerNames(metrics: Metrics): Metrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [
      EVALUATION.test(name) ? name.replace("_", "/") : `train/${name}`,
      value,
    ]),
  );
}
