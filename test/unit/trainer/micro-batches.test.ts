import fc from "fast-check";
import { expect, test } from "vitest";
import { groupTokens, packGroups } from "../../../lib/trainer/micro-batches.js";

test("groups keep their order, none is cut, and no batch that could be split is over the budget", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 100 }), (items, budget) => {
      const batches = packGroups(items, budget, (size) => size);
      expect(batches.flat()).toEqual(items);
      for (const [index, batch] of batches.entries()) {
        const total = batch.reduce((sum, size) => sum + size, 0);
        if (batch.length > 1) expect(total).toBeLessThanOrEqual(budget);
        const next = batches[index + 1]?.[0];
        if (next !== undefined) expect(total + next).toBeGreaterThan(budget);
      }
    }),
  );
});

test("a group costs its prompt once and every completion", () => {
  const group = {
    prompt: { tokens: new Int32Array(100), images: [] },
    completions: [new Int32Array(3), new Int32Array(5)],
  };
  expect(groupTokens(group)).toBe(108);
});
