import fc from "fast-check";
import { expect, test } from "vitest";
import { DataOrder } from "../../../lib/trainer/data-order.js";
import { permutation, RandomStream } from "../../../lib/trainer/random.js";

test("every epoch is a permutation, each another one, and the same for the same seed", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(), fc.nat({ max: 50 }), (length, seed, epoch) => {
      const order = permutation(length, seed, epoch);
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, index) => index));
      expect(permutation(length, seed, epoch)).toEqual(order);
      if (length > 30) expect(permutation(length, seed, epoch + 1)).not.toEqual(order);
    }),
  );
});

test("a step's rows depend on its number alone, so a resumed run takes the same rows", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 17 }),
      fc.nat({ max: 30 }),
      fc.boolean(),
      (rows, perStep, step, shuffle) => {
        const options = { rows, perStep, seed: 7, shuffle };
        const walked = new DataOrder(options);
        for (let before = 0; before < step; before += 1) walked.placesOf(before);
        expect(walked.placesOf(step)).toEqual(new DataOrder(options).placesOf(step));
      },
    ),
  );
});

test("steps cover each epoch exactly once without a gap, the last step is smaller", () => {
  const order = new DataOrder({ rows: 10, perStep: 4, seed: 1, shuffle: true });
  const end = order.endOf(2);
  const steps = order.stepsTo(end);
  expect([end, steps]).toEqual([20, 5]);
  const places = Array.from({ length: steps }, (_, step) => order.placesOf(step, end)).flat();
  expect(places.map((place) => place.position)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  for (const epoch of [0, 1]) {
    const rows = places.filter((place) => place.epoch === epoch).map((place) => place.row);
    expect(rows.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
  expect(new DataOrder({ rows: 10, perStep: 4, seed: 1, shuffle: true }).placesOf(2, 10)).toHaveLength(2);
});

test("every epoch has an order of its own, unless the data's own is wanted", () => {
  const orders = (shuffle: boolean) => {
    const order = new DataOrder({ rows: 20, perStep: 20, seed: 1, shuffle });
    return [0, 1].map((epoch) => order.placesOf(epoch).map(({ row }) => row));
  };
  const [first, second] = orders(true);
  expect(first).not.toEqual(second);
  const asItIs = Array.from({ length: 20 }, (_, index) => index);
  expect(orders(false)).toEqual([asItIs, asItIs]);
});

test("streams of different names differ, their values are spread evenly", () => {
  const counts = new Array<number>(10).fill(0);
  const seen = new Set<number>();
  for (let row = 0; row < 2000; row += 1) {
    const stream = new RandomStream(3, row, 0);
    seen.add(stream.next());
    const bin = Math.floor(stream.uniform() * 10);
    counts[bin] = counts[bin]! + 1;
  }
  expect(seen.size).toBe(2000);
  for (const count of counts) expect(Math.abs(count - 200)).toBeLessThan(70);
});
