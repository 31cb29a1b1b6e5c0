import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Row } from "../../../lib/data/datasets/index.js";
import { dataStatistics, histogram } from "../../../lib/data/statistics.js";

const row = (question: string, solution: string, images: string[] = []): Row => ({
  id: "x",
  messages: [{ role: "user", content: [{ type: "image" }, { type: "text", text: question }] }],
  images,
  solution,
  raw: {},
});

describe("statistics", () => {
  it("count rows, pictures, questions and answers, and name the frequent ones without their numbers", () => {
    const statistics = dataStatistics([
      row("what?", "<think>2</think><answer>apple 52 kcal</answer>", ["/a"]),
      row("what?", "apple 60 kcal", ["/a", "/b"]),
      row("who?", "pear", ["/c"]),
      row("how?", ""),
    ]);
    expect(statistics).toMatchObject({ rows: 4, pictures: 3, questions: 3, answers: 3 });
    expect(statistics.commonAnswers).toEqual([
      { name: "apple kcal", count: 2 },
      { name: "pear", count: 1 },
    ]);
    expect(statistics.numbers).toEqual({
      edges: [52, 53, 54, 55, 56, 57, 58, 59, 60],
      counts: [1, 0, 0, 0, 0, 0, 0, 1],
    });
    expect(statistics.questionLength?.counts.reduce((a, b) => a + b)).toBe(4);
    expect(statistics.answerLength?.edges[0]).toBe(4);
  });

  it("of no row are empty", () => {
    expect(dataStatistics([])).toMatchObject({ rows: 0, commonAnswers: [], numbers: undefined });
  });
});

describe("a histogram", () => {
  it.each([
    [
      [0.1, 0.2, 0.3],
      [0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3],
    ],
    [[5], [5, 6]],
    [
      [0, 1000],
      [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000],
    ],
    [
      [-3, 4],
      [-3, -2, -1, 0, 1, 2, 3, 4],
    ],
  ])("of %j has round edges", (values, edges) => {
    expect(histogram(values)?.edges).toEqual(edges);
  });

  it.each([[[5e-324, -1.1000000000000003e50]], [[-5.5e146, 5e-324, 0]], [[-Number.MAX_VALUE, Number.MAX_VALUE]]])(
    "of numbers as far apart as %j has twelve bars at most",
    (values) => {
      const { counts = [] } = histogram(values) ?? {};
      expect(counts.length).toBeLessThanOrEqual(12);
      expect(counts.reduce((a, b) => a + b, 0)).toBe(values.length);
    },
  );

  it("has no bars without values", () => {
    expect(histogram([Number.NaN, Number.POSITIVE_INFINITY])).toBeUndefined();
  });

  it("counts every value between its edges, in at most twelve bars", () => {
    const values = fc.array(fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(values, (list) => {
        const { edges = [], counts = [] } = histogram(list) ?? {};
        expect(counts.length).toBe(edges.length - 1);
        expect(counts.length).toBeLessThanOrEqual(12);
        expect(edges).toEqual([...edges].sort((a, b) => a - b));
        for (const [index, count] of counts.entries()) {
          const low = edges[index]!;
          const high = edges[index + 1]!;
          const last = index === counts.length - 1;
          expect(count).toBe(list.filter((value) => value >= low && (value < high || (last && value === high))).length);
        }
        expect(counts.reduce((a, b) => a + b, 0)).toBe(list.length);
      }),
      { numRuns: 1000 },
    );
  });
});
