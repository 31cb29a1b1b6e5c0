import { describe, expect, test } from "vitest";
import { extractChoice } from "../../../lib/rewards/choice.js";
import { accuracy, choice, yesNo } from "../../../lib/rewards/index.js";
import { parseYesNo } from "../../../lib/rewards/yes-no.js";
import { judged } from "../../support/rewards.js";

describe("the letter that a text picks", () => {
  test.each<[string, string | undefined]>([
    ["B", "B"],
    ["b", "B"],
    ["(B)", "B"],
    ["（Ｂ）", "B"],
    ["B.", "B"],
    ["**B**", "B"],
    ["Option B", "B"],
    ["Answer: b", "B"],
    ["The answer is B", "B"],
    ["The answer is (B).", "B"],
    ["答案是B", "B"],
    ["答案：Ｂ", "B"],
    ["选B", "B"],
    ["故选 B。", "B"],
    ["\\boxed{B}", "B"],
    ["\\boxed{\\text{B}}", "B"],
    ["B. a dog", "B"],
    ["(B) a dog", "B"],
    ["I think it is B here", "B"],
    ["The answer is A. No, the answer is B", "B"],
    ["A or B", undefined],
    ["A cat", undefined],
    ["I do not know", undefined],
    ["choose a hat", undefined],
    ["NASA", undefined],
    ["U.S. law", undefined],
    ["", undefined],
  ])("of %j is %j", (text, letter) => {
    expect(extractChoice(text)).toBe(letter);
  });
});

describe("choice", () => {
  const question = "Which one?\nA. a cat\nB. a dog\n(C) a cow";
  test.each<[string, string, number | null]>([
    ["B", "B", 1],
    ["a dog", "B", 1],
    ["A Dog.", "b) a dog", 1],
    ["B", "a dog", 1],
    ["a cow", "C", 1],
    ["a cat", "B", 0],
    ["D", "B", 0],
    ["", "B", 0],
    ["B", "a horse", null],
  ])("%j where %j is right earns %j", (answer, solution, expected) => {
    expect(judged(choice(), answer, solution, {}, { question })).toBe(expected);
  });

  test("a solution may tell its option's text itself", () => {
    expect(judged(choice(), "a dog.", "B. A dog")).toBe(1);
    expect(judged(choice(), "a cat", "B. A dog")).toBe(0);
    expect(judged(accuracy(), "a dog", "(B) a dog")).toBe(1);
  });

  test("options of the row, as a list or by letter", () => {
    for (const raw of [{ options: ["猫", "狗"] }, { choices: { A: "猫", b: "狗" } }, { options: ["A. 猫", "B. 狗"] }]) {
      expect(judged(choice(), "狗", "B", raw)).toBe(1);
      expect(judged(choice(), "猫", "B", raw)).toBe(0);
    }
  });
});

describe("yes_no", () => {
  test.each<[string, boolean | undefined]>([
    ["yes", true],
    ["No.", false],
    ["True", true],
    ["FALSE", false],
    ["ｙｅｓ", true],
    ["I know nothing", undefined],
    ["是的", true],
    ["是", true],
    ["不是", false],
    ["否", false],
    ["对", true],
    ["不对", false],
    ["没有", false],
    ["是否", undefined],
    ["incorrect", false],
    ["correct", true],
    ["", undefined],
    ["不知道", undefined],
  ])("%j says %j", (text, expected) => {
    expect(parseYesNo(text)).toBe(expected);
  });

  test("compares answer and solution across languages", () => {
    expect(judged(yesNo(), "Yes, it is.", "是")).toBe(1);
    expect(judged(yesNo(), "no", "true")).toBe(0);
    expect(judged(yesNo(), "who knows", "no")).toBe(0);
    expect(judged(yesNo(), "yes", "apple")).toBeNull();
  });
});
