import type { ClipSums, GrpoLossKind } from "../engine/index.js";

/** What clipping did, under TRL's names. Empty for sapo, which clips nothing; 0 where there was nothing to look at. */
export function clipMetrics(lossType: GrpoLossKind, sums: ClipSums): Record<string, number> {
  const { low, high, lowMin, highMax, phi } = sums;
  const count = Math.max(1, sums.count);
  switch (lossType) {
    case "sapo":
      return {};
    case "vespo":
      return { "vespo/phi_seq_mean": phi / Math.max(1, sums.completions) };
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
