import { expect, it } from "vitest";
import { ClipTotals } from "../../../lib/losses/index.js";
import { NOTHING_CLIPPED } from "../../support/loss.js";

const PARTS = [
  { count: 10, low: 1, high: 2, lowMin: 0.1, highMax: 0.5, completions: 2, offPolicy: 1, phi: 0.75 },
  { count: 30, low: 3, high: 4, lowMin: 0, highMax: 0.25, completions: 3, offPolicy: 0, phi: 1.75 },
];

function totals(parts = PARTS): ClipTotals {
  const sums = new ClipTotals();
  for (const part of parts) sums.add(part);
  return sums;
}

it("adds micro-batches up, by TRL's names", () => {
  expect(totals().metrics("dapo")).toEqual({
    "clip_ratio/low_mean": 0.1,
    "clip_ratio/low_min": 0,
    "clip_ratio/high_mean": 0.15,
    "clip_ratio/high_max": 0.5,
    "clip_ratio/region_mean": 0.25,
  });
  expect(totals().metrics("cispo")).toEqual({ cispo_clip_ratio: 0.15 });
  expect(totals().metrics("vespo")).toEqual({ "vespo/phi_seq_mean": 0.5 });
  expect(totals().metrics("sapo")).toEqual({});
  expect(totals().offPolicyShare).toBe(0.2);
});

it("is 0 where there was nothing to look at", () => {
  for (const sums of [totals([]), totals([NOTHING_CLIPPED])]) {
    for (const lossType of ["grpo", "cispo", "vespo"] as const)
      expect(Object.values(sums.metrics(lossType)).every((value) => value === 0)).toBe(true);
    expect(sums.offPolicyShare).toBe(0);
  }
});
