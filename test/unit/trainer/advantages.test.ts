import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { computeAdvantages, type RewardAggregation, type ScaleRewards } from "../../../lib/trainer/advantages.js";

interface Golden {
  name: string;
  num_generations: number;
  reward_weights: number[];
  scale_rewards: ScaleRewards;
  multi_objective_aggregation: RewardAggregation;
  rewards: (number | null)[][];
  combined: (number | null)[];
  advantages: number[];
  zero_std: boolean[];
}

const golden = JSON.parse(readFileSync(new URL("../../golden/losses.json", import.meta.url), "utf8")) as {
  advantages: Golden[];
};
const cases = golden.advantages;
const nameOf = (entry: Golden) => `${entry.name}, ${entry.scale_rewards}, ${entry.multi_objective_aggregation}`;

describe("advantages as TRL 1.13 computes them", () => {
  test("there are cases of both aggregations", () => {
    const counts = (kind: RewardAggregation) =>
      cases.filter((entry) => entry.multi_objective_aggregation === kind).length;
    expect(counts("sum_then_normalize")).toBe(18);
    expect(counts("normalize_then_sum")).toBe(6);
  });

  test.each(cases.map((entry) => [nameOf(entry), entry] as const))("%s", (_, entry) => {
    const result = computeAdvantages(entry.rewards, {
      numGenerations: entry.num_generations,
      weights: entry.reward_weights,
      scaleRewards: entry.scale_rewards,
      aggregation: entry.multi_objective_aggregation,
    });
    expect(result.zeroStdShare).toBe(entry.zero_std.filter(Boolean).length / entry.zero_std.length);
    for (const [index, expected] of entry.advantages.entries()) {
      expect(Math.abs(result.advantages[index]! - expected)).toBeLessThanOrEqual(1e-6);
    }
    for (const [index, expected] of entry.combined.entries()) {
      if (expected === null) expect(result.combined[index]).toBeNaN();
      else expect(result.combined[index]).toBeCloseTo(expected, 6);
    }
  });
});

test("equal rewards leave exactly zero, so that their groups can be skipped", () => {
  const reward = fc.double({ min: -10, max: 10, noNaN: true });
  fc.assert(
    fc.property(reward, fc.integer({ min: 2, max: 9 }), (value, numGenerations) => {
      const rewards = Array.from({ length: numGenerations }, () => [value, 0.7]);
      for (const scaleRewards of ["group", "batch", "none"] as const) {
        const { advantages, zeroStdShare } = computeAdvantages(rewards, { numGenerations, scaleRewards });
        expect(advantages.every((advantage) => advantage === 0)).toBe(true);
        expect(zeroStdShare).toBe(1);
      }
    }),
  );
});

describe("rewards that are compared one by one", () => {
  const aggregation = "normalize_then_sum" as const;

  test("weigh the same whatever their scale", () => {
    // Of the sum only the second reward would be left: 100 and 0 against 0 and 1.
    const rewards = [
      [0, 100],
      [1, 0],
      [1, 100],
      [0, 0],
    ];
    const { advantages } = computeAdvantages(rewards, { numGenerations: 4, aggregation });
    expect(advantages[0]).toBeCloseTo(0, 3);
    expect(advantages[1]).toBeCloseTo(0, 3);
    expect(advantages[2]).toBeCloseTo(-advantages[3]!, 6);
    expect(advantages[2]).toBeGreaterThan(1);
  });

  test("leave exactly zero where all are equal", () => {
    const equal = Array.from({ length: 6 }, () => [0.1, 0.7]);
    const { advantages, zeroStdShare } = computeAdvantages(equal, { numGenerations: 3, aggregation });
    expect([...advantages]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(zeroStdShare).toBe(1);
  });

  test("of nothing are nothing", () => {
    const { advantages, combined, zeroStdShare } = computeAdvantages([], { numGenerations: 3, aggregation });
    expect([advantages.length, combined, zeroStdShare]).toEqual([0, [], 0]);
  });
});
