import { describe, expect, test } from "vitest";
import { learningRateAt, type ScheduleKind } from "../../../lib/trainer/schedule.js";

const rates = (kind: ScheduleKind, totalSteps: number, more: { warmupSteps?: number; warmupRatio?: number } = {}) =>
  Array.from({ length: totalSteps }, (_, step) => learningRateAt(step, { kind, learningRate: 1, totalSteps, ...more }));

describe("schedules", () => {
  // Values of transformers' get_scheduler(kind, warmup, total) at each optimizer step.
  test.each<[ScheduleKind, number, number[]]>([
    ["constant", 0, [1, 1, 1, 1]],
    ["constant", 2, [0, 0.5, 1, 1]],
    ["linear", 0, [1, 0.75, 0.5, 0.25]],
    ["linear", 2, [0, 0.5, 1, 0.5]],
    ["cosine", 0, [1, 0.8535533905932737, 0.5, 0.14644660940672627]],
    ["cosine", 2, [0, 0.5, 1, 0.5]],
  ])("%s with %d warm-up steps", (kind, warmupSteps, expected) => {
    for (const [step, rate] of rates(kind, 4, { warmupSteps }).entries()) expect(rate).toBeCloseTo(expected[step]!, 12);
  });

  test("the warm-up ratio is rounded up to whole steps, and steps win over it", () => {
    expect(rates("constant", 10, { warmupRatio: 0.11 })).toEqual(rates("constant", 10, { warmupSteps: 2 }));
    expect(rates("linear", 10, { warmupRatio: 0.9, warmupSteps: 1 })).toEqual(rates("linear", 10, { warmupSteps: 1 }));
  });
});
