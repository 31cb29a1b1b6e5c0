import type { GrpoConfig } from "../config/train-schema.js";
import type { AccumulateResult, ClipSums } from "../engine/index.js";
import { clipMetrics } from "../losses/index.js";
import type { Metrics } from "../report/index.js";

/** What the engine measured in the micro-batches of a step, and how TRL calls it. */
export class GrpoSums {
  private readonly sums = { loss: 0, policyLoss: 0, tokens: 0, entropy: 0, kl: 0 };
  private readonly groups = { all: 0, kept: 0 };
  private readonly difference = { sum: 0, max: 0, tokens: 0 };
  private readonly clip: ClipSums = {
    ...{ count: 0, low: 0, high: 0, completions: 0, offPolicy: 0, phi: 0 },
    ...{ lowMin: Number.POSITIVE_INFINITY, highMax: Number.NEGATIVE_INFINITY },
  };
  private update = { sum: 0, tokens: 0 };

  constructor(private readonly config: GrpoConfig) {}

  /** Begins an update over `all` groups, of which `kept` are trained on. */
  addUpdate(all: number, kept: number): void {
    this.groups.all += all;
    this.groups.kept += kept;
    this.update = { sum: 0, tokens: 0 };
  }

  add(result: AccumulateResult): void {
    const { sums, clip, update } = this;
    sums.loss += result.loss;
    sums.policyLoss += result.policyLoss;
    sums.tokens += result.tokens;
    sums.entropy += result.entropySum;
    sums.kl += result.klSum;
    update.sum += result.entropySum;
    update.tokens += result.tokens;
    for (const name of ["count", "low", "high", "completions", "offPolicy", "phi"] as const) {
      clip[name] += result.clip[name];
    }
    clip.lowMin = Math.min(clip.lowMin, result.clip.lowMin);
    clip.highMax = Math.max(clip.highMax, result.clip.highMax);
  }

  /** Sum and number of the entropies of the update at hand. */
  entropyOfUpdate(): { sum: number; tokens: number } {
    return this.update;
  }

  /** The forward of training against that of sampling: exactly equal on the CPU. Per completion, per token. */
  compare(trained: readonly Float32Array[], sampled: readonly Float32Array[]): void {
    for (const [index, values] of sampled.entries()) {
      for (const [token, value] of values.entries()) {
        const difference = Math.abs((trained[index]?.[token] as number) - value);
        this.difference.sum += difference;
        this.difference.tokens += 1;
        // A NaN must show, and stay.
        if (difference > this.difference.max || Number.isNaN(difference)) this.difference.max = difference;
      }
    }
  }

  metrics(updates: number): Metrics {
    const { config, sums, groups } = this;
    const out: Metrics = {
      loss: sums.loss / updates,
      frac_groups_skipped: groups.all === 0 ? 0 : 1 - groups.kept / groups.all,
    };
    if (config.entropyCoef !== 0 || config.useAdaptiveEntropy) out.policy_loss = sums.policyLoss / updates;
    // Where no group was trained on, nothing of the following was measured.
    if (groups.kept === 0) return out;
    const tokens = Math.max(1, sums.tokens);
    out.entropy = sums.entropy / tokens;
    if (config.beta > 0) out.kl = sums.kl / tokens;
    Object.assign(out, clipMetrics(config.lossType, this.clip));
    const { offPolicy, completions } = this.clip;
    if (config.offPolicyMaskThreshold !== undefined) out.off_policy_mask_ratio = offPolicy / Math.max(1, completions);
    out["sampling/sampling_logp_difference/mean"] = this.difference.sum / Math.max(1, this.difference.tokens);
    out["sampling/sampling_logp_difference/max"] = this.difference.max;
    return out;
  }
}
