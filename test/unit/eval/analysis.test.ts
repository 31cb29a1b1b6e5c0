import { describe, expect, it, test } from "vitest";
import type { Row } from "../../../lib/data/datasets/index.js";
import { byClass, classesByField, confusion, confusions, numberCalibration } from "../../../lib/eval/index.js";
import { recorded } from "../../support/recorded.js";

/** An answer to a question that expects `expected`; null: none. */
function asked(id: string, expected: string, answered: string | null, more: Parameters<typeof recorded>[0] = {}) {
  const completion = answered === null ? "no tags here 7" : `<answer>${answered}</answer>`;
  return recorded({ id, solution: `<answer>${expected}</answer>`, completion, ...more });
}

describe("by class", () => {
  it("has a line per expected name, the most frequent first, then the worst", () => {
    const wrong = { name_right: false, number_right: false, reward: 0 };
    const classes = byClass([
      asked("a", "pear 57 kcal", "pear 57 kcal", { reward: null }),
      asked("b", "apple 52  kcal", "apple 52 kcal", { reward: 3 }),
      asked("c", "apple 95 kcal", "pear 1 kcal", wrong),
      asked("d", "zest 47 kcal", null, wrong),
    ]);
    expect(classes.map(({ name, rows, reward }) => [name, rows, reward])).toEqual([
      ["apple kcal", 2, 1.5],
      ["zest kcal", 1, 0],
      ["pear kcal", 1, null],
    ]);
    expect(classes[0]?.rightName.value).toBe(0.5);
    expect(classes[0]?.rightNumber.low).toBeGreaterThan(0.05);
  });

  it("does not take several answers to a row for independent ones", () => {
    const answers = Array.from({ length: 8 }, (_, sample) => asked("a", "apple", "apple", { sample }));
    const [one] = byClass(answers);
    expect(one).toMatchObject({ rows: 1, answers: 8, rightName: { value: 1, high: 1 } });
    expect(one?.rightName.low).toBeCloseTo(0.2065, 4);
  });

  it("takes a field of the rows where it is told to", () => {
    const raws: Record<string, unknown>[] = [{ cuisine: "thai" }, { cuisine: 7 }, {}, { cuisine: null }];
    const rows = raws.map((raw, index): Row => ({ id: String(index), messages: [], images: [], solution: "", raw }));
    const answers = rows.map(({ id }) => asked(id, "x", "x"));
    const named = byClass([...answers, asked("elsewhere", "x", "x")], classesByField(rows, "cuisine"));
    expect(named.map(({ name, rows: count }) => [name, count])).toEqual([
      ["(none)", 3],
      ["7", 1],
      ["thai", 1],
    ]);
    expect(() => classesByField(rows, "kitchen")).toThrow(
      expect.objectContaining({ code: "ERR_CONFIG", hint: "The rows have: cuisine" }),
    );
    expect(() => classesByField(rows, "toString")).toThrow('no row has a field "toString"');
  });
});

test("confusions are counted by name, as the score compares them; no answer is one of its own", () => {
  const counts = confusion([
    asked("a", "red apple 52", "red  apple 40"),
    asked("b", "red apple 52", "pear 57"),
    asked("c", "red apple 52", "pear"),
    asked("d", "pear 57", null),
    asked("e", "pear 57", "57"),
    asked("f", "pear 57", "Pear 57"),
  ]);
  expect(counts.map(({ expected, answered, count }) => [expected, answered, count])).toEqual([
    ["red apple", "pear", 2],
    ["pear", null, 1],
    ["pear", "", 1],
    ["pear", "Pear", 1],
    ["red apple", "red apple", 1],
  ]);
  expect(counts[0]?.share).toBeCloseTo(2 / 3, 15);
  expect(confusions(counts).map(({ count }) => count)).toEqual([2, 1, 1, 1]);
});

describe("the calibration of numbers", () => {
  it("says how near the answered numbers are", () => {
    const numbers = numberCalibration([
      asked("a", "apple 100", "apple 100"),
      asked("b", "apple 200", "apple 220"),
      asked("c", "apple 400", "apple 800 or 1"),
      asked("d", "apple 50", null),
      asked("e", "apple 10", "apple"),
      asked("f", "apple 20", "apple −20"),
    ]);
    expect(numbers).toMatchObject({ expected: 6, pairs: 4, missing: 2, surplus: 1 });
    // Errors 0, 0.1, 1 and 2.
    expect(numbers?.medianRelativeError).toBeCloseTo(0.55, 15);
    expect(numbers?.within).toEqual([
      { error: 0.05, share: 1 / 6 },
      { error: 0.1, share: 2 / 6 },
      { error: 0.2, share: 2 / 6 },
      { error: 0.5, share: 2 / 6 },
    ]);
    // Of 1, 1.1 and 2: a negative number has no logarithm.
    expect(numbers?.bias).toBe(1.1);
    expect(numbers?.spearman).toBe(1);
    expect(numbers?.pearsonLog).toBeCloseTo(0.9904062407154781, 12);
  });

  it("counts what is 10 % off as within 10 %, though the division says a bit more", () => {
    const off = (0.33 - 0.3) / 0.3;
    expect(off).toBeGreaterThan(0.1);
    const numbers = numberCalibration([asked("a", "x 0.3", "x 0.33")]);
    expect(numbers?.within[1]).toEqual({ error: 0.1, share: 1 });
  });

  it("pairs several numbers by their places", () => {
    const numbers = numberCalibration([
      asked("a", "52 kcal, 14 g", "52 kcal"),
      asked("b", "10 kcal, 20 g", "10 and 40"),
    ]);
    expect(numbers).toMatchObject({ expected: 4, pairs: 3, missing: 1, surplus: 0, bias: 1 });
  });

  it("bins expected numbers with about as many each, equal ones together", () => {
    const answers = Array.from({ length: 20 }, (_, index) => {
      const expected = index < 8 ? 5 : 10 * index;
      return asked(String(index), `x ${expected}`, index === 19 ? null : `x ${expected + 1}`);
    });
    const bins = numberCalibration(answers)?.bins ?? [];
    expect(bins.map(({ from, to, expected, answered }) => [from, to, expected, answered])).toEqual([
      [5, 5, 8, 8],
      [80, 100, 3, 3],
      [110, 130, 3, 3],
      [140, 160, 3, 3],
      [170, 190, 3, 2],
    ]);
    expect(bins[1]).toMatchObject({ medianExpected: 90, medianAnswered: 91, quartiles: [86, 96] });
  });

  it("says nothing where there is nothing to say", () => {
    expect(numberCalibration([asked("a", "apple", "apple 5")])).toBeUndefined();
    expect(numberCalibration([asked("a", "apple 5", null)])).toMatchObject({
      ...{ expected: 1, pairs: 0, missing: 1, medianRelativeError: null, bias: null, pearsonLog: null, spearman: null },
      bins: [{ from: 5, to: 5, expected: 1, answered: 0, medianAnswered: null, quartiles: null }],
    });
    const zero = numberCalibration([asked("a", "x 0", "x 1"), asked("b", `x ${"9".repeat(400)}`, "x 1")]);
    expect(zero).toMatchObject({ pairs: 2, medianRelativeError: null, bias: null });
  });
});
