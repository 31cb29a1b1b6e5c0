import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { permutation, RandomStream } from "../../../lib/data/random.js";
import { DataOrder } from "../../../lib/trainer/data-order.js";

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
        const options = { files: [rows], seed: 7, shuffle };
        const walked = new DataOrder(options);
        for (let before = 0; before < step; before += 1) walked.take(before * perStep, perStep);
        expect(walked.take(step * perStep, perStep)).toEqual(new DataOrder(options).take(step * perStep, perStep));
      },
    ),
  );
});

test("steps cover each epoch exactly once without a gap, the last step is smaller", () => {
  const order = new DataOrder({ files: [10], seed: 1, shuffle: true });
  const end = order.endOf(2);
  expect(end).toBe(20);
  const places = Array.from({ length: 5 }, (_, step) => order.take(4 * step, 4, end)).flat();
  expect(places.map((place) => place.position)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  for (const epoch of [0, 1]) {
    const rows = places.filter((place) => place.epoch === epoch).map((place) => place.row);
    expect(rows.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
  expect(new DataOrder({ files: [10], seed: 1, shuffle: true }).take(8, 4, 10)).toHaveLength(2);
});

test("every epoch has an order of its own, unless the data's own is wanted", () => {
  const orders = (shuffle: boolean) => {
    const order = new DataOrder({ files: [20], seed: 1, shuffle });
    return [0, 1].map((epoch) => order.take(20 * epoch, 20).map(({ row }) => row));
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

test("an order of one file is what it always was, as runs depend on its bits", () => {
  const rowsOf = (order: DataOrder, steps: number[], perStep = 4) =>
    steps.map((step) => order.take(perStep * step, perStep).map(({ row }) => row));
  const small = { seed: 1, shuffle: true };
  const frozen = [
    [8, 6, 4, 7],
    [2, 0, 1, 3],
    [5, 9, 5, 2],
    [9, 4, 3, 6],
    [1, 0, 8, 7],
  ];
  expect(rowsOf(new DataOrder({ ...small, files: [10] }), [0, 1, 2, 3, 4])).toEqual(frozen);
  expect(rowsOf(new DataOrder({ ...small, files: [10], curriculum: true }), [0, 1, 2, 3, 4])).toEqual(frozen);
  // Without weights or a curriculum the files are one data set.
  expect(rowsOf(new DataOrder({ ...small, files: [3, 0, 7] }), [0, 1, 2, 3, 4])).toEqual(frozen);
  const [, border] = rowsOf(new DataOrder({ files: [2152], seed: 42, shuffle: true }), [0, 134], 16);
  expect(border).toEqual([992, 1712, 289, 1464, 1417, 1269, 1021, 492, 1192, 1161, 142, 1995, 539, 185, 452, 2143]);
});

/** Sizes of files with a row among them, and weights that give every file a share it can take. */
const mixes = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 9 })), { minLength: 1, maxLength: 5 })
  .filter((files) => files.some(([, weight]) => weight > 0))
  .map((files) => ({ files: files.map(([rows]) => rows), weights: files.map(([, weight]) => weight) }))
  .filter(({ files, weights }) => {
    const rows = files.reduce((a, b) => a + b);
    const sum = weights.reduce((a, b) => a + b);
    return weights.every((weight) => weight === 0 || (rows * weight) / sum >= 1);
  });

const fileOfRow = (files: readonly number[], row: number) => {
  let end = 0;
  return files.findIndex((count) => {
    end += count;
    return row < end;
  });
};

test("what is taken depends on the position alone, however it is cut", () => {
  fc.assert(
    fc.property(
      mixes,
      fc.constantFrom("plain", "weights", "curriculum"),
      fc.boolean(),
      fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 8 }),
      fc.nat({ max: 100 }),
      fc.nat(),
      ({ files, weights }, kind, shuffle, cuts, start, seed) => {
        const mix = kind === "weights" ? { weights } : { curriculum: kind === "curriculum" };
        const open = () => new DataOrder({ files, seed, shuffle, ...mix });
        const pieces = open();
        let position = start;
        const cut = cuts.flatMap((count) => {
          const places = pieces.take(position, count);
          position += count;
          return places;
        });
        expect(cut).toEqual(open().take(start, position - start));
        expect(open().at(start)).toEqual(open().take(start, 1)[0]);
        expect(open().take(start, 10, start + 3)).toHaveLength(3);
        expect(open().take(start, 10, start - 1)).toEqual([]);
      },
    ),
  );
});

describe("several files", () => {
  test("a curriculum goes through every file in turn, each row once an epoch, in ever new orders", () => {
    fc.assert(
      fc.property(mixes, fc.nat(), fc.nat({ max: 5 }), ({ files }, seed, epoch) => {
        const order = new DataOrder({ files, seed, shuffle: true, curriculum: true });
        const rows = order.take(epoch * order.rows, order.rows).map(({ row }) => row);
        expect([...rows].sort((a, b) => a - b)).toEqual(Array.from({ length: order.rows }, (_, row) => row));
        if (files.length === 1) return;
        const met = rows.map((row) => fileOfRow(files, row));
        expect(met).toEqual([...met].sort((a, b) => a - b));
      }),
    );
    const order = new DataOrder({ files: [40, 40], seed: 1, shuffle: true, curriculum: true });
    const first = (position: number) => order.take(position, 40).map(({ row }) => row % 40);
    expect(first(0)).not.toEqual(first(40));
    expect(first(0)).not.toEqual(first(80));
    const asTheyAre = new DataOrder({ files: [3, 2], seed: 1, shuffle: false, curriculum: true });
    expect(asTheyAre.take(0, 5).map(({ row }) => row)).toEqual([0, 1, 2, 3, 4]);
  });

  test("weights give every file its share of each epoch", () => {
    fc.assert(
      fc.property(mixes, fc.boolean(), fc.nat(), fc.nat({ max: 5 }), ({ files, weights }, shuffle, seed, epoch) => {
        const order = new DataOrder({ files, weights, seed, shuffle });
        const sum = weights.reduce((a, b) => a + b);
        const counts = files.map(() => 0);
        for (const { row } of order.take(epoch * order.rows, order.rows)) counts[fileOfRow(files, row)]! += 1;
        expect(counts.reduce((a, b) => a + b)).toBe(order.rows);
        for (const [file, count] of counts.entries()) {
          const exact = (order.rows * weights[file]!) / sum;
          expect(Math.abs(count - exact)).toBeLessThan(1);
          if (Number.isInteger(exact)) expect(count).toBe(exact);
        }
      }),
    );
  });

  test("weighted files come round in themselves: no row twice before all have come once", () => {
    fc.assert(
      fc.property(mixes, fc.boolean(), fc.nat(), ({ files, weights }, shuffle, seed) => {
        const order = new DataOrder({ files, weights, seed, shuffle });
        const met = files.map((): { row: number; pass: number }[] => []);
        for (const { row, pass } of order.take(0, 4 * order.rows)) met[fileOfRow(files, row)]!.push({ row, pass });
        for (const [file, places] of met.entries()) {
          const length = files[file]!;
          expect(places.map(({ pass }) => pass)).toEqual(places.map((_, index) => Math.floor(index / length)));
          for (let start = 0; start + length <= places.length; start += length) {
            expect(new Set(places.slice(start, start + length).map(({ row }) => row)).size).toBe(length);
          }
        }
      }),
    );
  });

  test("shares are rounded to the largest remainders", () => {
    // 10 draws: 10·3/7 = 4.29, 10·3/7, 10·1/7 = 1.43; the one that is left goes to .43.
    const order = new DataOrder({ files: [4, 4, 2], weights: [3, 3, 1], seed: 1, shuffle: true });
    const counts = [0, 0, 0];
    for (const { row } of order.take(0, 10)) counts[fileOfRow([4, 4, 2], row)]! += 1;
    expect(counts).toEqual([4, 4, 2]);
  });

  test("without shuffling weighted files are spread evenly, each from its beginning", () => {
    // Draws of the first at 1/12, 3/12 … 11/12, of the second at 1/4 and 3/4; 3/12 stands with 1/4.
    const order = new DataOrder({ files: [4, 4], weights: [3, 1], seed: 1, shuffle: false });
    expect(order.take(0, 8).map(({ row }) => row)).toEqual([0, 1, 4, 2, 3, 0, 5, 1]);
    expect(order.take(8, 8).map(({ row }) => row)).toEqual([2, 3, 6, 0, 1, 2, 7, 3]);
  });

  test("the seed changes the mix and the order in every file", () => {
    const places = (seed: number) => {
      const order = new DataOrder({ files: [40, 40], weights: [1, 1], seed, shuffle: true });
      return order.take(0, 80).map(({ row }) => row);
    };
    const inFirst = (rows: number[]) => rows.filter((row) => row < 40);
    const mixOf = (rows: number[]) => rows.map((row) => row < 40);
    expect(places(1)).toEqual(places(1));
    expect(inFirst(places(1))).not.toEqual(inFirst(places(2)));
    expect(mixOf(places(1))).not.toEqual(mixOf(places(2)));
  });

  test("a weight of 0 leaves a file out; weights that cannot be kept are refused", () => {
    const open = (files: number[], weights: number[], curriculum = false) =>
      new DataOrder({ files, weights, curriculum, seed: 1, shuffle: true });
    expect(
      Math.max(
        ...open([5, 5], [2, 0])
          .take(0, 30)
          .map(({ row }) => row),
      ),
    ).toBe(4);
    expect(open([5, 0], [1, 0]).take(0, 5)).toHaveLength(5);
    const config = (message: RegExp) =>
      expect.objectContaining({ code: "ERR_CONFIG", message: expect.stringMatching(message) });
    expect(() => open([5, 5], [1])).toThrow(config(/one per data file \(2\), got 1/));
    expect(() => open([5, 5], [0, 0])).toThrow(config(/zeros only/));
    expect(() => open([5, 5], [1, -1])).toThrow(config(/at least 0, got -1/));
    expect(() => open([5, 5], [1, Number.NaN])).toThrow(config(/got NaN/));
    expect(() => open([5, 5], [1, 1], true)).toThrow(config(/curriculum/));
    expect(() => open([5, 5], [1000, 1])).toThrow(config(/file 2 gets none of the 10 draws/));
    expect(() => open([5, 0], [1, 1])).toThrow(expect.objectContaining({ code: "ERR_DATA" }));
    expect(() => open([0], [1])).toThrow(expect.objectContaining({ code: "ERR_DATA" }));
    // Shares of any sum, and numbers whose sum is none.
    expect(open([4, 4], [1e308, 1e308]).take(0, 8)).toHaveLength(8);
  });
});
