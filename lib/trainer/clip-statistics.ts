import type { Metrics } from "../report/index.js";

interface Clipped {
  advantages: Float32Array;
  mask: Uint8Array;
}

interface Range {
  epsilon: number;
  epsilonHigh?: number | undefined;
}

/** Shares of tokens whose ratio left the clipping range on the side where that stops the gradient, as TRL logs them. */
export class ClipStatistics {
  private tokens = 0;
  private low = 0;
  private high = 0;
  private lowMin = Number.POSITIVE_INFINITY;
  private highMax = Number.NEGATIVE_INFINITY;

  /** Arrays are per completion, per token. */
  add(
    { advantages, mask }: Clipped,
    logProbs: readonly Float32Array[],
    old: readonly Float32Array[],
    range: Range,
  ): void {
    const { epsilon, epsilonHigh = epsilon } = range;
    for (const [index, now] of logProbs.entries()) {
      if (mask[index] === 0 || now.length === 0) continue;
      const advantage = advantages[index] ?? 0;
      const before = old[index] ?? now;
      let low = 0;
      let high = 0;
      for (const [token, value] of now.entries()) {
        const ratio = Math.exp(value - (before[token] as number));
        if (ratio < 1 - epsilon && advantage < 0) low += 1;
        if (ratio > 1 + epsilonHigh && advantage > 0) high += 1;
      }
      this.tokens += now.length;
      this.low += low;
      this.high += high;
      this.lowMin = Math.min(this.lowMin, low / now.length);
      this.highMax = Math.max(this.highMax, high / now.length);
    }
  }

  metrics(): Metrics {
    const tokens = Math.max(1, this.tokens);
    return {
      "clip_ratio/low_mean": this.low / tokens,
      "clip_ratio/low_min": Number.isFinite(this.lowMin) ? this.lowMin : 0,
      "clip_ratio/high_mean": this.high / tokens,
      "clip_ratio/high_max": Number.isFinite(this.highMax) ? this.highMax : 0,
      "clip_ratio/region_mean": (this.low + this.high) / tokens,
    };
  }
}
