import { describe, expect, it } from "vitest";
import { compareRecords, type EvaluationRecord, type RecordedAnswer } from "../../../lib/eval/index.js";
import type { HeldOut } from "../../../lib/page/page-data.js";
import { recorded } from "../../support/recorded.js";

const record = (...answers: RecordedAnswer[]): EvaluationRecord => ({ version: 2, metrics: {}, answers });
const at = (id: string, reward: number | null, more: Partial<RecordedAnswer> = {}) =>
  recorded({ id, reward, rewards: { content: reward }, name_right: (reward ?? 0) > 0.5, ...more });
const pear = { solution: "<answer>pear 57</answer>" };

const first = record(at("a", 0), at("b", 1), at("c", 0.5, pear), at("d", null), at("e", 1));
const second = record(at("x", 1), at("d", 1), at("c", 0.25, pear), at("b", 1), at("a", 1));

const comparison = await compareRecords(first, second, { labels: ["one", "two"] });

describe("two evaluations", () => {
  it("are compared over the rows that both have, row by row", () => {
    expect(comparison).toMatchObject({ labels: ["one", "two"], rows: 4, clusters: 4, notes: [] });
    expect(comparison.onlyFirst).toEqual(["e"]);
    expect(comparison.onlySecond).toEqual(["x"]);
    expect(
      comparison.scores.map(({ name, unit, first: one, second: two, rows }) => [name, unit, one, two, rows]),
    ).toEqual([
      // Row d has no reward in the first.
      ["reward", "number", 0.5, 0.75, 3],
      ["rewards/content", "number", 0.5, 0.75, 3],
      ["right name", "share", 0.25, 0.75, 4],
      ["right number", "share", 1, 1, 4],
      ["right format", "share", 1, 1, 4],
      ["tokens", "number", 3, 3, 4],
    ]);
    expect(comparison.scores[0]).toMatchObject({ higher: 1, lower: 1, equal: 1, difference: { value: 0.25 } });
  });

  it("say which rows and classes changed", () => {
    expect(comparison.improved.map(({ id, difference }) => [id, difference])).toEqual([["a", 1]]);
    expect(comparison.worsened).toEqual([
      expect.objectContaining({ id: "c", difference: -0.25, first: { completion: expect.any(String), reward: 0.5 } }),
    ]);
    expect(comparison.classes).toEqual([
      {
        ...{ name: "apple", rows: 3, change: 1, nameChange: 2, reward: { first: 0.5, second: 1 } },
        rightName: { first: 1 / 3, second: 1 },
      },
      {
        name: "pear",
        rows: 1,
        change: -0.25,
        nameChange: 0,
        reward: { first: 0.5, second: 0.25 },
        rightName: { first: 0, second: 0 },
      },
    ]);
  });

  it("have a class that changed also where its reward did not", async () => {
    const both = [record(at("a", 1), at("b", 1, pear)), record(at("a", 1, { name_right: false }), at("b", 1, pear))];
    const { classes } = await compareRecords(both[0]!, both[1]!);
    expect(classes.map(({ name, change, nameChange }) => [name, change, nameChange])).toEqual([
      ["apple", 0, -1],
      ["pear", 0, 0],
    ]);
  });

  it("are what a page shows of held-out data", () => {
    const { labels, rows, scores } = comparison;
    const heldOut: HeldOut = { labels, rows, scores };
    expect(heldOut.scores).toHaveLength(6);
  });

  it("have a row's mean where it has several answers", async () => {
    const several = record(at("a", 0), at("a", 1, { sample: 1 }), at("b", null), at("b", 1, { sample: 1 }));
    const [reward] = (await compareRecords(several, record(at("a", 1), at("b", 1)))).scores;
    expect(reward).toMatchObject({ first: 0.75, second: 1, rows: 2 });
  });

  it("draw rows that share a picture together, unless they are not to", async () => {
    const images = [["/a.png"], ["/a.png", "/b.png"], ["/b.png"], ["/c.png"], [], []];
    const rows = (reward: number) => record(...images.map((own, index) => at(String(index), reward, { images: own })));
    expect(await compareRecords(rows(0), rows(1))).toMatchObject({ rows: 6, clusters: 4 });
    expect(await compareRecords(rows(0), rows(1), { cluster: "row" })).toMatchObject({ rows: 6, clusters: 6 });
  });

  it("are said to be judged by other rewards", async () => {
    const other = record(recorded({ id: "a", rewards: { format: 1 } }));
    const { notes, scores } = await compareRecords(record(at("a", 1)), other);
    expect(notes).toEqual(['"reward" is the sum of other rewards: first was judged by content; second by format']);
    expect(scores.map(({ name }) => name)).not.toContain("rewards/format");
  });

  it("are said to have been asked other questions", async () => {
    const other = record(at("b", 1), at("a", 1, { question: "这是什么？" }));
    const { notes, rows } = await compareRecords(first, other);
    expect({ notes, rows }).toEqual({
      notes: ["1 of 2 rows were asked another question in the other evaluation: a …"],
      rows: 2,
    });
  });

  it("are refused where they are of different data", async () => {
    const other = record(at("a", 1, pear), at("b", 1));
    await expect(compareRecords(first, other)).rejects.toThrow(
      /^1 of 2 rows expect another answer .*: a expects .*apple.*pear/,
    );
    await expect(compareRecords(first, record(at("z", 1)))).rejects.toThrow(
      'no row in common: one has "a", the other "z"',
    );
  });
});
