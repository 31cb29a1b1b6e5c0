import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type SplitRow, splitByColumn, splitRows } from "../../../../lib/data/convert/split.js";

const row = (key: string | string[], stratum = ""): SplitRow => ({ keys: [key].flat(), stratum });
const many = (count: number, stratum = (_: number) => "") =>
  Array.from({ length: count }, (_, index) => row(`p${index}`, stratum(index)));

describe("a split by share", () => {
  it("takes the share, of every stratum", () => {
    const rows = many(100, (index) => (index < 80 ? "big" : "small"));
    const test = splitRows(rows, { share: 0.2, seed: 1 });
    expect(test).toHaveLength(20);
    expect(test.filter((index) => rows[index]?.stratum === "small")).toHaveLength(4);
    expect(splitRows(many(7), { share: 0.01, seed: 1 })).toHaveLength(1);
    expect(splitRows(many(7), { share: 0.99, seed: 1 })).toHaveLength(6);
  });

  it("depends on seed and content, not on the rows' order", () => {
    const rows = many(50);
    const names = (list: readonly SplitRow[], seed: number) =>
      splitRows(list, { share: 0.3, seed })
        .map((index) => list[index]?.keys[0])
        .sort();
    expect(names([...rows].reverse(), 7)).toEqual(names(rows, 7));
    expect(names(rows, 8)).not.toEqual(names(rows, 7));
    // Ten rows more: hardly anything changes sides.
    const before = names(rows, 7);
    const after = names([...rows, ...many(60).slice(50)], 7);
    expect(before.filter((name) => !after.includes(name)).length).toBeLessThan(6);
  });

  it("never cuts what belongs together, and leaves both sides a row", () => {
    const keys = fc.array(fc.nat({ max: 15 }).map(String), { minLength: 1, maxLength: 2 });
    const rows = fc.array(fc.tuple(keys, fc.constantFrom("a", "b")), { minLength: 2, maxLength: 40 });
    fc.assert(
      fc.property(rows, fc.double({ min: 0.05, max: 0.95, noNaN: true }), fc.nat(), (list, share, seed) => {
        const given = list.map(([own, stratum]) => row(own, stratum));
        let test: Set<number>;
        try {
          test = new Set(splitRows(given, { share, seed }));
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_DATA" });
          return;
        }
        expect(test.size).toBeGreaterThan(0);
        expect(test.size).toBeLessThan(given.length);
        const held = new Set([...test].flatMap((index) => given[index]?.keys ?? []));
        for (const [index, { keys: own }] of given.entries()) {
          if (!test.has(index)) expect(own.some((key) => held.has(key))).toBe(false);
        }
      }),
    );
  });

  it("is refused where all hangs together", () => {
    expect(() => splitRows([row("a"), row(["a", "b"]), row("b")], { share: 0.5, seed: 0 })).toThrow(
      expect.objectContaining({ code: "ERR_DATA", message: expect.stringContaining("all 3 rows") }),
    );
    expect(() => splitRows([row("a")], { share: 0.5, seed: 0 })).toThrow(/there is one row/);
  });
});

describe("a split by column", () => {
  const rows = (...sets: [string, string][]) => sets.map(([key, set]) => ({ keys: [key], set }));

  it("reads the usual names and leaves out what the test set shows too", () => {
    const given = rows(["a", "train"], ["b", "Validation "], ["b", "train"], ["c", "test"], ["d", "train"]);
    expect(splitByColumn(given, "set")).toEqual({ test: [1, 3], leaked: [2] });
  });

  it("is refused for values that name no set, or an empty one", () => {
    expect(() => splitByColumn(rows(["a", "train"], ["b", "other"]), "set")).toThrow(/set has "other"/);
    expect(() => splitByColumn(rows(["a", "train"]), "set")).toThrow(/no row for the test set/);
    expect(() => splitByColumn(rows(["a", "train"], ["a", "test"]), "set")).toThrow(/no row for the training set/);
  });
});
