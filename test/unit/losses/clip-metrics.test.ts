import { expect, it } from "vitest";
import { clipMetrics } from "../../../lib/losses/index.js";
import { NOTHING_CLIPPED } from "../../support/loss.js";

const SUMS = { count: 40, low: 4, high: 6, lowMin: 0.05, highMax: 0.5, completions: 5, offPolicy: 1, phi: 2.5 };

it("calls the shares what TRL calls them", () => {
  expect(clipMetrics("dapo", SUMS)).toEqual({
    "clip_ratio/low_mean": 0.1,
    "clip_ratio/low_min": 0.05,
    "clip_ratio/high_mean": 0.15,
    "clip_ratio/high_max": 0.5,
    "clip_ratio/region_mean": 0.25,
  });
  expect(clipMetrics("cispo", SUMS)).toEqual({ cispo_clip_ratio: 0.15 });
  expect(clipMetrics("vespo", SUMS)).toEqual({ "vespo/phi_seq_mean": 0.5 });
  expect(clipMetrics("sapo", SUMS)).toEqual({});
});

it("is 0 where there was nothing to look at", () => {
  for (const lossType of ["grpo", "cispo", "vespo"] as const)
    expect(Object.values(clipMetrics(lossType, NOTHING_CLIPPED)).every((value) => value === 0)).toBe(true);
});
