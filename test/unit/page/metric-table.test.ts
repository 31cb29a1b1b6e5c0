import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseRows, MetricTable } from "../../../lib/page/metric-table.js";

/** Steps 1 … count of a wave, with one value that stands out. */
function wave(count: number, peak: number, height: number): MetricTable {
  const table = new MetricTable(100);
  for (let step = 1; step <= count; step += 1) {
    table.add(step, [
      ["reward", step === peak ? height : Math.sin(step / 50)],
      ["loss", -Math.sin(step / 50)],
    ]);
  }
  return table;
}

test("a short run's numbers are all there, with null where a step has none", () => {
  const table = new MetricTable(100);
  table.add(1, [["loss", 0.5]]);
  table.add(2, [
    ["loss", null],
    ["kl", 1 / 3],
    ["never", null],
  ]);
  expect(table.thinned(100)).toEqual({ step: [1, 2], values: { loss: [0.5, null], kl: [null, 0.333333] } });
});

test("of two rows of one step the later one counts, and a step that goes back is none", () => {
  const table = new MetricTable(100);
  for (const [step, value] of [
    [0, 1],
    [0, 2],
    [5, 3],
    [4, 4],
  ] as const)
    table.add(step, [["eval_reward", value]]);
  expect(table.thinned(100)).toEqual({ step: [0, 5], values: { eval_reward: [2, 3] } });
});

test.each([
  [7_777, 4.25],
  [40_000, -9],
])("of many steps the ends and a single peak of any curve stay, at their true steps: step %i", (peak, height) => {
  const { step, values } = wave(50_000, peak, height).thinned(100);
  expect(step.length).toBeLessThanOrEqual(100);
  expect([step[0], step.at(-1)]).toEqual([1, 50_000]);
  expect(values.reward?.[step.indexOf(peak)]).toBe(height);
  for (const [row, at] of step.entries()) {
    if (at !== peak) expect(values.reward?.[row]).toBeCloseTo(Math.sin(at / 50), 5);
    expect(values.loss?.[row]).toBeCloseTo(-Math.sin(at / 50), 5);
  }
  // Spread over all of the run.
  const gaps = step.slice(1).map((at, index) => at - (step[index] as number));
  expect(Math.max(...gaps)).toBeLessThan(50_000 / 25);
});

test("it gives the same points again, and a table of many columns keeps to its measure", () => {
  expect(wave(30_000, 5, 9).thinned(60)).toEqual(wave(30_000, 5, 9).thinned(60));
  const table = new MetricTable(50);
  for (let step = 1; step <= 3000; step += 1) {
    table.add(
      step,
      Array.from({ length: 80 }, (_, column) => [`m${column}`, Math.sin(step * (column + 1))]),
    );
  }
  expect(table.thinned(50).step.length).toBeLessThanOrEqual(50);
});

test("chosen rows are as many as asked for at most, ascending, with both ends", () => {
  const values = fc.oneof(fc.double({ noNaN: false }), fc.constant(Number.NaN), fc.integer());
  const columns = fc.array(fc.array(values, { maxLength: 60 }), { maxLength: 4 });
  const steps = fc.uniqueArray(fc.nat(100_000), { minLength: 2, maxLength: 60 });
  fc.assert(
    fc.property(steps, columns, fc.integer({ min: 2, max: 70 }), (unsorted, own, count) => {
      const sorted = unsorted.toSorted((a, b) => a - b);
      const rows = chooseRows(
        sorted,
        own.map((column) => column.slice(0, sorted.length)),
        count,
      );
      expect(rows.length).toBeLessThanOrEqual(Math.max(count, 2));
      expect(rows).toEqual([...new Set(rows)].sort((a, b) => a - b));
      expect([rows[0], rows.at(-1)]).toEqual([0, sorted.length - 1]);
    }),
  );
});
