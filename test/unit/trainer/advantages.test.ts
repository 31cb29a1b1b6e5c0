import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { computeAdvantages, type ScaleRewards } from "../../../lib/trainer/advantages.js";

interface Golden {
  name: string;
  num_generations: number;
  reward_weights: number[];
  scale_rewards: ScaleRewards;
  multi_objective_aggregation: string;
  rewards: (number | null)[][];
  combined: (number | null)[];
  advantages: number[];
}

const golden = JSON.parse(readFileSync(new URL("../../golden/losses.json", import.meta.url), "utf8")) as {
  advantages: Golden[];
};
const cases = golden.advantages.filter((entry) => entry.multi_objective_aggregation === "sum_then_normalize");

describe("advantages as TRL 1.13 computes them", () => {
  test("there are cases", () => expect(cases.length).toBeGreaterThan(5));

  test.each(cases.map((entry) => [`${entry.name}, ${entry.scale_rewards}`, entry] as const))("%s", (_, entry) => {
    const result = computeAdvantages(entry.rewards, {
      numGenerations: entry.num_generations,
      weights: entry.reward_weights,
      scaleRewards: entry.scale_rewards,
    });
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
