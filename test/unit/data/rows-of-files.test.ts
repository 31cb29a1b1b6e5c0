import { describe, expect, it } from "vitest";
import { keepRows, listIds, type Row, withUniqueIds } from "../../../lib/data/datasets/index.js";
import { mapBounded } from "../../../lib/data/map-bounded.js";

const rowsOf = (...ids: string[]): Row[] =>
  ids.map((id) => ({ id, messages: [], images: [], solution: id, raw: { id } }));

describe("ids", () => {
  it("are made unique: the first keeps its own, and no new one is that of another row", () => {
    const { rows, renamed } = withUniqueIds(rowsOf("a", "b", "a", "a#2", "a", "a#2"));
    expect(rows.map(({ id }) => id)).toEqual(["a", "b", "a#3", "a#2", "a#4", "a#2#2"]);
    expect(rows.map(({ raw }) => raw.id)).toEqual(["a", "b", "a", "a#2", "a", "a#2"]);
    expect(renamed).toEqual([
      { from: "a", to: "a#3" },
      { from: "a", to: "a#4" },
      { from: "a#2", to: "a#2#2" },
    ]);
  });

  it("are left alone where they are unique, and so are the rows", () => {
    const given = rowsOf("a", "b");
    const { rows, renamed } = withUniqueIds(given);
    expect(rows[0]).toBe(given[0]);
    expect(renamed).toEqual([]);
  });

  it("are listed by a few", () => {
    expect(listIds(rowsOf("a", "b", "c", "d", "e"))).toBe("a, b, c, d, e");
    expect(listIds(rowsOf("a", "b", "c", "d", "e", "f", "g"))).toBe("a, b, c, d, e and 2 more");
  });
});

it("rows that are kept are counted by file", () => {
  const data = { rows: rowsOf("a", "b", "c", "d", "e"), files: [2, 0, 3] };
  const kept = keepRows(data, (row) => row !== 0 && row !== 3);
  expect(kept.rows.map(({ id }) => id)).toEqual(["b", "c", "e"]);
  expect(kept.files).toEqual([1, 0, 2]);
});

describe("mapBounded", () => {
  it("keeps the order, and no more at work than it may", async () => {
    let working = 0;
    let most = 0;
    const done: number[] = [];
    const work = async (item: number) => {
      working += 1;
      most = Math.max(most, working);
      await new Promise((resolve) => setTimeout(resolve, (item * 7) % 5));
      working -= 1;
      return item * item;
    };
    const items = Array.from({ length: 20 }, (_, index) => index);
    const results = await mapBounded(items, work, { width: 3, onDone: (count) => done.push(count) });
    expect(results).toEqual(items.map((item) => item * item));
    expect(most).toBe(3);
    expect(done).toEqual(items.map((item) => item + 1));
    expect(await mapBounded([], work, { width: 3 })).toEqual([]);
  });

  it("ends with the first error, and when it is told to", async () => {
    const started: number[] = [];
    const work = async (item: number) => {
      started.push(item);
      await Promise.resolve();
      if (item === 2) throw new Error("two");
    };
    const items = Array.from({ length: 50 }, (_, index) => index);
    await expect(mapBounded(items, work, { width: 2 })).rejects.toThrow("two");
    expect(started.length).toBeLessThan(10);
    const signal = AbortSignal.abort("stop");
    await expect(mapBounded(items, work, { width: 2, signal })).rejects.toBe("stop");
  });
});
