import { rankRange } from "../adapters/index.js";
import { toKebab, toSnake } from "../config/names.js";
import type { MemoryUse } from "../engine/index.js";
import { formatBytes, formatNumber, formatShare, formatTable } from "../report/format.js";
import type { MemoryEstimate, PhaseName } from "../trainer/memory-estimate.js";
import { type Advice, LARGEST_GROUP } from "../trainer/memory-fit.js";

export interface EstimateResult {
  estimate: MemoryEstimate;
  /** Where the prompts' sizes come from, in words. */
  workload: string;
  numGenerations: number;
  maxCompletionLength: number;
  /** Packed tokens of a micro-batch, as given or as a run would choose. */
  budget: number;
  limit: number;
  /** Undefined where not even the smallest group fits. */
  largest: number | undefined;
  advice: Advice[];
}

const KINDS: readonly [keyof MemoryUse, string][] = [
  ["weights", "weights"],
  ["gradients", "gradients"],
  ["optimizer", "optimizer"],
  ["activations", "activations"],
  ["kvCache", "KV cache"],
  ["workspace", "workspace"],
];

const PHASES: Readonly<Record<PhaseName, string>> = {
  load: "loading",
  evaluate: "evaluation",
  generate: "sampling",
  reference: "reference",
  train: "forward and backward",
  optimize: "optimizer step",
};

export function estimateLines(result: EstimateResult): string[] {
  const { estimate } = result;
  return [
    modelLine(estimate),
    stepLine(result),
    "",
    ...phaseTable(estimate),
    "",
    ...peakTable(estimate),
    "",
    ...fitLines(result),
  ];
}

function modelLine({ parameters, trainableParameters, trainable, device }: MemoryEstimate): string {
  const trained =
    trainableParameters === parameters
      ? "all trained"
      : `trains ${formatNumber(trainableParameters)} (${formatShare(trainableParameters / parameters)})`;
  return `${formatNumber(parameters)} parameters, ${trained}${adapterPart(trainable)}; ${device}`;
}

function adapterPart(trainable: MemoryEstimate["trainable"]): string {
  if (trainable.train === "full") return "";
  const [least, greatest] = rankRange(trainable.adapter);
  return `, LoRA r=${range(least, greatest)} on ${trainable.adapter.modules.length} layers`;
}

function stepLine({ estimate, workload, numGenerations, maxCompletionLength, budget }: EstimateResult): string {
  const { prompts, microBatches, updatesPerRollout } = estimate;
  const updates = updatesPerRollout === 1 ? "" : `${updatesPerRollout} updates, `;
  const tokens = prompts.map((prompt) => prompt.tokens);
  const pictures = prompts.map(({ grids }) => grids.length);
  const size = `${range(Math.min(...tokens), Math.max(...tokens))} tokens`;
  const most = Math.max(...pictures);
  const shown = `${range(Math.min(...pictures), most)} ${most === 1 ? "picture" : "pictures"}`;
  return (
    `a step: ${prompts.length} prompts of ${size} with ${shown} (${workload}), ` +
    `${numGenerations} completions of ${maxCompletionLength} tokens each; ` +
    `${updates}${microBatches} ${microBatches === 1 ? "micro-batch" : "micro-batches"} of at most ${budget} tokens or one group`
  );
}

/** "8", "8–9". */
function range(least: number, greatest: number): string {
  return least === greatest ? String(least) : `${least}–${greatest}`;
}

/** All figures of a table in one unit, the largest that leaves digits. */
function unitOf(largest: number): { unit: string; format: (bytes: number) => string } {
  if (largest >= 1e9) return { unit: "GB", format: (bytes) => (bytes / 1e9).toFixed(2) };
  return { unit: "MB", format: (bytes) => (bytes / 1e6).toFixed(1) };
}

function phaseTable({ phases, peak }: MemoryEstimate): string[] {
  const { unit, format } = unitOf(peak);
  const rows = phases.map(({ name, use, total }) => [
    PHASES[name],
    ...KINDS.map(([kind]) => format(use[kind])),
    format(total),
  ]);
  return formatTable([[`${unit} in use at most`, ...KINDS.map(([, title]) => title), "together"], ...rows]);
}

function peakTable({ largestPhase, kept, process, peak }: MemoryEstimate): string[] {
  const { format } = unitOf(peak);
  return formatTable([
    [`${PHASES[largestPhase]}, the largest phase`, format(peak - kept - process)],
    ["kept for reuse", format(kept)],
    ["Node, libraries, pictures", format(process)],
    ["peak", format(peak)],
  ]);
}

function fitLines(result: EstimateResult): string[] {
  const { estimate, limit, largest, advice } = result;
  const memory = formatBytes(limit);
  const verdict = estimate.peak <= limit ? "fits" : "does not fit";
  const group =
    largest === undefined
      ? `no group fits in ${memory}`
      : `largest num_generations in ${memory}: ${largest}${largest >= LARGEST_GROUP ? " or more" : ""}`;
  const lines = [`it ${verdict} in ${memory}; ${group}`];
  if (advice.length === 0) return lines;
  const rows = advice.map(({ options, peak }) => [
    `  ${flagsOf(options)}`,
    `→ ${formatBytes(peak)}`,
    peak <= limit ? "fits" : "",
  ]);
  return [...lines, "", "smaller with", ...formatTable(rows)];
}

function flagsOf(options: Advice["options"]): string {
  return Object.entries(options)
    .map(([name, value]) => {
      if (typeof value === "boolean") return `--${value ? "" : "no-"}${toKebab(name)}`;
      return `--${toKebab(name)} ${String(value)}`;
    })
    .join(" ");
}

/** For programs. Bytes; names as in configuration files. */
export function estimateJson(result: EstimateResult): Record<string, unknown> {
  const { estimate, workload, limit, largest, advice } = result;
  return {
    device: estimate.device,
    parameters: estimate.parameters,
    trainable_parameters: estimate.trainableParameters,
    prompts: estimate.prompts.map(({ tokens, grids }) => ({ tokens, grids })),
    prompts_from: workload,
    num_generations: result.numGenerations,
    max_completion_length: result.maxCompletionLength,
    max_tokens_per_microbatch: result.budget,
    micro_batches: estimate.microBatches,
    updates_per_rollout: estimate.updatesPerRollout,
    phases: estimate.phases.map(({ name, use, total }) => ({ name, ...snakeKeys(use), total })),
    largest_phase: estimate.largestPhase,
    kept: estimate.kept,
    process: estimate.process,
    peak: estimate.peak,
    memory: limit,
    fits: estimate.peak <= limit,
    largest_num_generations: largest ?? null,
    advice: advice.map(({ options, peak }) => ({ options: snakeKeys(options), peak, fits: peak <= limit })),
  };
}

function snakeKeys(values: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [toSnake(name), value]));
}
