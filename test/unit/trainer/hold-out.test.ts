import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { holdOut } from "../../../lib/trainer/hold-out.js";

/** Every row by itself. */
const single = (rows: number) => Array.from({ length: rows }, (_, row) => [row]);

const countsOf = (held: readonly number[], files: readonly number[]) => {
  let end = 0;
  return files.map((count) => {
    const start = end;
    end += count;
    return held.filter((row) => row >= start && row < end).length;
  });
};

/** Rows of up to three files in random groups, which may span files. */
const cases = fc
  .tuple(
    fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 3 }),
    fc.integer({ min: 1, max: 30 }),
    fc.infiniteStream(fc.nat()),
  )
  .map(([files, groups, choices]) => {
    const rows = files.reduce((a, b) => a + b);
    const members = new Map<number, number[]>();
    for (let row = 0; row < rows; row += 1) {
      const group = (choices.next().value as number) % groups;
      members.set(group, [...(members.get(group) ?? []), row]);
    }
    return { files, groups: [...members.values()] };
  });

const ratios = fc.double({ min: 0.01, max: 0.99, noNaN: true });

describe("held-out rows", () => {
  test("are whole groups; every file keeps a row; the same for the same seed", () => {
    fc.assert(
      fc.property(cases, ratios, fc.nat(), ({ files, groups }, ratio, seed) => {
        const attempt = () => {
          try {
            return holdOut({ files, groups, ratio, seed });
          } catch (error) {
            expect(error).toMatchObject({ code: "ERR_DATA" });
            return undefined;
          }
        };
        const held = attempt();
        expect(attempt()).toEqual(held);
        const left = (group: readonly number[]) =>
          countsOf(group, files).every((count, file) => count === 0 || count < files[file]!);
        if (held === undefined) {
          expect(groups.some(left)).toBe(false);
          return;
        }
        expect(held.length).toBeGreaterThan(0);
        expect(held).toEqual([...new Set(held)].sort((a, b) => a - b));
        for (const group of groups)
          expect([0, group.length]).toContain(group.filter((row) => held.includes(row)).length);
        for (const [file, count] of countsOf(held, files).entries()) expect(count).toBeLessThan(files[file]!);
      }),
    );
  });

  test("are the share of every file, as near as whole rows come", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 60 }), { minLength: 1, maxLength: 4 }),
        ratios,
        fc.nat(),
        (files, ratio, seed) => {
          const rows = files.reduce((a, b) => a + b);
          const held = holdOut({ files, groups: single(rows), ratio, seed });
          const wanted = Math.min(Math.max(1, Math.round(rows * ratio)), rows - 1);
          for (const [file, count] of countsOf(held, files).entries()) {
            const exact = (wanted * files[file]!) / rows;
            // Every file keeps a row, whatever its share.
            expect(count).toBeGreaterThanOrEqual(Math.min(Math.floor(exact), files[file]! - 1));
            expect(count).toBeLessThanOrEqual(Math.ceil(exact));
          }
        },
      ),
    );
    expect(
      countsOf(holdOut({ files: [100, 50, 50], groups: single(200), ratio: 0.1, seed: 1 }), [100, 50, 50]),
    ).toEqual([10, 5, 5]);
  });

  test("come near the share where groups are of eight, as eight questions on a picture are", () => {
    const groups = Array.from({ length: 100 }, (_, group) => Array.from({ length: 8 }, (_, i) => 8 * group + i));
    expect(holdOut({ files: [800], groups, ratio: 0.1, seed: 3 })).toHaveLength(80);
    expect(holdOut({ files: [800], groups, ratio: 0.003, seed: 3 })).toHaveLength(8);
  });

  test("are the smallest group where all are too large for the share", () => {
    const groups = [
      [0, 1, 2, 3, 4],
      [5, 6, 7],
      [8, 9, 10, 11],
    ];
    for (const seed of [1, 2, 3]) expect(holdOut({ files: [12], groups, ratio: 0.05, seed })).toEqual([5, 6, 7]);
  });

  test("depend on the seed", () => {
    const held = [1, 2].map((seed) => holdOut({ files: [100], groups: single(100), ratio: 0.2, seed }));
    expect(held[0]).toHaveLength(20);
    expect(held[0]).not.toEqual(held[1]);
  });

  test("cannot be had where all rows hang together, or there is one", () => {
    const all = [[0, 1, 2]];
    expect(() => holdOut({ files: [3], groups: all, ratio: 0.3, seed: 1 })).toThrow(/3 rows of one file are 1 group/);
    expect(() => holdOut({ files: [1], groups: [[0]], ratio: 0.3, seed: 1 })).toThrow(/there is one row/);
    const twoFiles = {
      files: [2, 2],
      groups: [
        [0, 1],
        [2, 3],
      ],
      ratio: 0.5,
      seed: 1,
    };
    expect(() => holdOut(twoFiles)).toThrow(/4 rows of 2 files are 2 groups/);
  });
});
