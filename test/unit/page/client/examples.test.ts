import { describe, expect, it } from "vitest";
import { answerPart, changeOf, isRight, marksOf } from "../../../../lib/page/client/base/verdict.js";
import { chooseExamples, countFilters } from "../../../../lib/page/client/sections/choose-examples.js";
import type { Example } from "../../../../lib/page/page-data.js";

function example(id: string, before: number | null, after: number | null, text = "red apple"): Example {
  const answer = (label: string, reward: number | null) => ({ label, text, reward, rewards: {} });
  const answers = [answer("before", before), answer("after", after)];
  return { id, pictures: [], question: `question ${id}`, solution: "Red  Apple", answers };
}

describe("verdicts", () => {
  it("tells better from worse by the reward", () => {
    expect([example("a", 1, 2), example("b", 2, 1), example("c", 1, 1)].map(changeOf)).toEqual([
      "better",
      "worse",
      "same",
    ]);
  });

  it("tells it by what is right where there is no reward", () => {
    const one = example("a", null, null);
    one.answers[0] = { label: "before", text: "pear", reward: null, rewards: {} };
    expect(changeOf(one)).toBe("better");
  });

  it("compares the texts where nothing says what is right", () => {
    const { answers, solution } = example("a", 1, 1, "<think>x</think><answer>RED apple </answer>");
    expect(marksOf(answers[0]!, solution)).toEqual([{ name: "Same text", right: true }]);
    expect(marksOf({ ...answers[0]!, right: { name: true, number: false } }, solution)).toEqual([
      { name: "Name", right: true },
      { name: "Number", right: false },
    ]);
    expect(isRight({ ...answers[0]!, right: { name: true, number: false } }, solution)).toBe(false);
  });

  it("takes the last answer of a text", () => {
    expect(answerPart("<answer>a</answer> then <answer> b\n</answer>")).toBe("b");
    expect(answerPart("<answer></answer>")).toBe("<answer></answer>");
    expect(answerPart("no tags")).toBe("no tags");
  });
});

describe("chooseExamples", () => {
  const all = [example("a", 1, 2), example("b", 2, 0.5, "pear"), example("c", 1, 1), example("d", 1, 3)];
  const ids = (...args: [Parameters<typeof chooseExamples>[1], string, Parameters<typeof chooseExamples>[3]]) =>
    chooseExamples(all, ...args).map(({ id }) => id);

  it("filters, searches and sorts, and leaves the list as it is", () => {
    expect(ids("better", "", "given")).toEqual(["a", "d"]);
    expect(ids("wrong", "", "given")).toEqual(["b"]);
    expect(ids("all", "PEAR b", "given")).toEqual(["b"]);
    expect(ids("all", "", "gain")).toEqual(["d", "a", "c", "b"]);
    expect(ids("all", "", "loss")).toEqual(["b", "c", "a", "d"]);
    expect(ids("all", "", "reward")).toEqual(["b", "c", "a", "d"]);
    expect(all.map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
    expect(countFilters(all)).toEqual({ all: 4, better: 2, worse: 1, wrong: 1 });
  });
});
