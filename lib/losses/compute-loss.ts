import type { z } from "zod";
import { parseConfig } from "../config/index.js";
import { type ComputeLossArgs, type ComputeLossResult, type GrpoLossArgs, loadAddon } from "../engine/index.js";
import { fromNative, VlmR1Error } from "../errors/index.js";
import { clipMetrics } from "./clip-metrics.js";
import { highEntropyMask } from "./entropy-mask.js";
import { type LossConfig, lossSchema, lossSettings } from "./loss-options.js";
import { ScoredTokens, type TokenRows } from "./token-rows.js";

/** What a loss is computed of. Rows are per completion, per token, and may have different lengths. */
export interface ComputeLossInput {
  /** Log-probabilities of the policy. */
  logProbs: TokenRows;
  /** Of the policy that sampled. Left out: that was this one, the ratio is 1 and carries the gradient. */
  oldLogProbs?: TokenRows | undefined;
  /** Of the reference; needed where `beta` is above 0. */
  refLogProbs?: TokenRows | undefined;
  /** One per completion. */
  advantages: ArrayLike<number>;
  /** 1 for tokens of the completion, 0 for those that are out of everything, such as padding; all 1 unless given. */
  mask?: TokenRows | undefined;
  /** Entropies of the policy; needed for `entropyCoef` and `topEntropyQuantile`. */
  entropies?: TokenRows | undefined;
}

/** The trainer's options that a loss depends on, with the same defaults, and how many batches an update has. */
export type ComputeLossOptions = ComputeLossInput & z.input<typeof lossSchema>;

/** What `computeLoss` gives. */
export interface LossResult {
  /** As TRL's `_compute_loss` returns it: divided by the steps of gradient accumulation, the entropy bonus included. */
  loss: number;
  /** d loss / d log-probability, of the shape of `logProbs`; 0 where the mask is. */
  gradient: Float32Array[];
  /** d loss / d entropy, where `entropyCoef` is above 0. */
  entropyGradient?: Float32Array[];
  /**
   * By TRL's names: kl, entropy, clip_ratio/…, cispo_clip_ratio, vespo/phi_seq_mean, and with an entropy bonus
   * policy_loss. Completions whose tokens are all masked are not in them.
   */
  metrics: Record<string, number>;
}

/** Losses that divide by tokens of the whole update, where TRL leaves nothing to accumulation. */
const BY_ALL_TOKENS: ReadonlySet<string> = new Set(["dapo", "cispo", "vespo"]);

/**
 * A GRPO loss by itself: the kernel of training, on log-probabilities from anywhere, which it takes as f32. Values and
 * gradients are those of TRL 1.13.
 *
 * Throws `ERR_CONFIG` for options that are none, `ERR_ARGUMENT` for numbers that are not finite or arrays that are
 * missing, `ERR_SHAPE` for arrays that do not fit each other, `ERR_ADDON` where there is no addon.
 *
 * @example
 * const { loss, gradient } = computeLoss({ logProbs, oldLogProbs, advantages, lossType: "grpo", epsilonHigh: 0.28 });
 */
export function computeLoss(options: ComputeLossOptions): LossResult {
  const { logProbs, oldLogProbs, refLogProbs, advantages, mask, entropies, ...rest } = options;
  const config = parseConfig(lossSchema, defined(rest), "computeLoss");
  const input = { logProbs, oldLogProbs, refLogProbs, advantages, mask, entropies };
  checkNeeded(config, input);
  const tokens = new ScoredTokens(logProbs, mask);
  const gathered = gather(tokens, input);
  const { topEntropyQuantile } = config;
  const tokenMask = topEntropyQuantile < 1 ? highEntropyMask(gathered.entropies, topEntropyQuantile) : [];
  const loss: GrpoLossArgs = {
    ...lossSettings(config),
    ...denominators(config, tokens, tokenMask),
    temperature: 1,
    advantages: [checkedAdvantages(advantages, tokens)],
    oldLogProbs: [gathered.oldLogProbs],
    refLogProbs: [gathered.refLogProbs],
    mask: [Uint8Array.from(tokens.places, ({ length }) => (length > 0 ? 1 : 0))],
    tokenMask: [tokenMask],
  };
  const result = callAddon({ logProbs: [gathered.logProbs], entropies: [gathered.entropies], loss });
  return {
    loss: result.loss,
    gradient: tokens.scatter(result.gradient[0] ?? []),
    ...(config.entropyCoef > 0 ? { entropyGradient: tokens.scatter(result.entropyGradient[0] ?? []) } : {}),
    metrics: metricsOf(config, result, entropies !== undefined),
  };
}

function defined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function checkNeeded(config: LossConfig, { refLogProbs, entropies }: ComputeLossInput): void {
  if (config.beta > 0 && refLogProbs === undefined) {
    throw new VlmR1Error("ERR_ARGUMENT", `refLogProbs: expected log-probabilities, because beta is ${config.beta}`, {
      hint: "Give the reference's log-probabilities, or set beta to 0.",
    });
  }
  const wanted = config.entropyCoef > 0 ? "entropyCoef" : config.topEntropyQuantile < 1 ? "topEntropyQuantile" : null;
  if (wanted === null || entropies !== undefined) return;
  throw new VlmR1Error("ERR_ARGUMENT", `entropies: expected one per token, because ${wanted} is ${config[wanted]}`);
}

/** The tokens that are in the loss. An array that was left out is empty. */
function gather(tokens: ScoredTokens, input: ComputeLossInput) {
  const rows = (name: "oldLogProbs" | "refLogProbs" | "entropies") => {
    const given = input[name];
    return given === undefined ? [] : tokens.gather(name, given);
  };
  return {
    logProbs: tokens.gather("logProbs", input.logProbs),
    oldLogProbs: rows("oldLogProbs"),
    refLogProbs: rows("refLogProbs"),
    entropies: rows("entropies"),
  };
}

/** TRL's, for one of `gradientAccumulationSteps` batches. */
function denominators(config: LossConfig, tokens: ScoredTokens, tokenMask: readonly Uint8Array[]) {
  const { lossType, gradientAccumulationSteps: steps, stepsPerGeneration = steps } = config;
  const scored = tokens.total;
  const items = config.numItemsInBatch ?? scored * stepsPerGeneration;
  const bonus = tokenMask.length === 0 ? scored : tokenMask.reduce((sum, row) => sum + count(row), 0);
  return {
    totalSequences: tokens.places.length * steps,
    totalTokens: BY_ALL_TOKENS.has(lossType)
      ? (Math.max(1, items) * steps) / stepsPerGeneration
      : Math.max(1, scored) * steps,
    totalEntropyTokens: Math.max(1, bonus) * steps,
  };
}

function count(bits: Uint8Array): number {
  return bits.reduce((sum, bit) => sum + bit, 0);
}

function checkedAdvantages(advantages: ArrayLike<number>, { places }: ScoredTokens): Float32Array {
  if (advantages === undefined || advantages === null || advantages.length !== places.length) {
    const got = advantages?.length ?? "nothing";
    throw new VlmR1Error("ERR_SHAPE", `advantages: expected ${places.length} (one per completion), got ${got}`);
  }
  return Float32Array.from(advantages, (value, c) => {
    if (typeof value === "number" && Number.isFinite(Math.fround(value))) return value;
    throw new VlmR1Error("ERR_ARGUMENT", `advantages[${c}]: expected a finite number, got ${String(value)}`);
  });
}

function callAddon(args: ComputeLossArgs): ComputeLossResult {
  try {
    return loadAddon().computeLoss(args);
  } catch (error) {
    throw fromNative(error);
  }
}

function metricsOf(config: LossConfig, result: ComputeLossResult, withEntropy: boolean): Record<string, number> {
  const { lossType, gradientAccumulationSteps: steps } = config;
  const tokens = Math.max(1, result.tokens);
  const metrics = clipMetrics(lossType, result.clip);
  if (config.beta > 0) metrics.kl = result.klSum / tokens;
  if (withEntropy) metrics.entropy = result.entropySum / tokens;
  // Logged before it is divided by the steps of accumulation, where it is.
  if (config.entropyCoef > 0) metrics.policy_loss = result.policyLoss * (BY_ALL_TOKENS.has(lossType) ? 1 : steps);
  return metrics;
}
