import type { ClipSums, GrpoLossKind } from "../engine/index.js";

/** What the micro-batches of a step say of clipping, added up; means under TRL's names. */
export class ClipTotals {
  private readonly sums: ClipSums = {
    count: 0,
    low: 0,
    high: 0,
    lowMin: Number.POSITIVE_INFINITY,
    highMax: Number.NEGATIVE_INFINITY,
    completions: 0,
    offPolicy: 0,
    phi: 0,
  };

  add(part: ClipSums): void {
    const { sums } = this;
    for (const key of ["count", "low", "high", "completions", "offPolicy", "phi"] as const) sums[key] += part[key];
    sums.lowMin = Math.min(sums.lowMin, part.lowMin);
    sums.highMax = Math.max(sums.highMax, part.highMax);
  }

  /** Empty for sapo, which clips nothing. 0 where there was nothing to look at. */
  metrics(lossType: GrpoLossKind): Record<string, number> {
    const { low, high, lowMin, highMax, phi } = this.sums;
    const count = Math.max(1, this.sums.count);
    switch (lossType) {
      case "sapo":
        return {};
      case "vespo":
        return { "vespo/phi_seq_mean": phi / Math.max(1, this.sums.completions) };
      case "cispo":
        return { cispo_clip_ratio: high / count };
      default:
        return {
          "clip_ratio/low_mean": low / count,
          "clip_ratio/low_min": Number.isFinite(lowMin) ? lowMin : 0,
          "clip_ratio/high_mean": high / count,
          "clip_ratio/high_max": Number.isFinite(highMax) ? highMax : 0,
          "clip_ratio/region_mean": (low + high) / count,
        };
    }
  }

  /** Share of completions that the off-policy mask left out. */
  get offPolicyShare(): number {
    return this.sums.offPolicy / Math.max(1, this.sums.completions);
  }
}
