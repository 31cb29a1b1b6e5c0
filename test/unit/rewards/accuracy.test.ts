import { describe, expect, test } from "vitest";
import { accuracy } from "../../../lib/rewards/index.js";
import { judged, PICTURE, rewardContext, rewardRow } from "../../support/rewards.js";

describe("accuracy, the default method", () => {
  test.each([
    ["equal numbers", "0.50", "1/2", 1],
    ["another number is not somewhat alike", "13", "12", 0],
    ["thousands", "1,234", "1234", 1],
    ["full-width digits", "１２", "12", 1],
    ["an option", "The answer is (B).", "B", 1],
    ["another option", "C", "(B)", 0],
    ["no option at all", "none of them", "B", 0],
    ["equal texts but for case, spaces and a full stop", "Red  Apple.", "red apple", 1],
    ["like texts", "苹果汁", "苹果", 0.8],
    ["a digit in a text", "apple 52", "apple 53", 0.875],
    ["ranges are texts", "20-22", "10-12", 0.6],
    ["nothing alike", "b", "a", 0],
    ["an empty answer", "", "apple", 0],
  ])("%s", (_, answer, solution, expected) => {
    expect(judged(accuracy(), answer, solution)).toBeCloseTo(expected, 12);
  });

  test("reads the last answer of the completion, the first of the solution", () => {
    const score = (completion: string, solution: string) =>
      accuracy()(completion, rewardRow(solution), rewardContext());
    expect(score("<answer>1</answer> no, <answer>2</answer>", "<answer>2</answer><answer>1</answer>")).toBe(1);
    expect(score("<answer>2</answer> no, <answer>1</answer>", "2")).toBe(0);
    expect(score("<think>perhaps 3</think> 2", "2")).toBe(1);
    expect(score("<answer>2", "2")).toBeLessThan(1);
    expect(score("2", "2")).toBe(1);
    expect(score("", "2")).toBe(0);
  });

  test("does not apply without a solution", () => {
    expect(judged(accuracy(), "2", "")).toBeNull();
  });

  test("fuzzy off: right or wrong", () => {
    expect(judged(accuracy({ fuzzy: false }), "苹果汁", "苹果")).toBe(0);
    expect(judged(accuracy({ fuzzy: false }), "Apple.", "apple")).toBe(1);
  });
});

describe("a row's accu_reward_method", () => {
  const boxes = '```json\n[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}]\n```';
  test.each([
    ["mcq", "it must be B", "B", 1],
    ["choice", "A", "B", 0],
    ["yes_no", "Yes, it is", "是", 1],
    ["numeric", "2.0", "2", 1],
    ["numeric", "two", "2", 0],
    ["numeric", "2", "two", null],
    ["math", "x^2 - 1", "(x-1)(x+1)", 1],
    ["math", "apple", "apple", 0],
    ["ratio", "苹果汁", "苹果", 0.8],
    ["all_match", "Apple .", "apple", 0],
    ["all_match", "Apple.", "apple", 1],
    ["iou", "[0, 0, 10, 10]", "[0, 0, 10, 20]", 0.5],
    ["map", boxes, boxes, 1],
    ["od_ap", boxes, boxes, 1],
    ["od_ap50", boxes, boxes, 1],
    ["odLength", '[{"bbox_2d":[0,0,10,10],"label":"cat"},{"bbox_2d":[50,50,60,60],"label":"cat"}]', boxes, 0.5],
    ["weighted_sum", boxes, boxes, 1],
    ["default", "1/2", "0.5", 1],
  ])("%s: %j against %j", (method, answer, solution, expected) => {
    const reward = accuracy({ answerSpace: "original" });
    expect(judged(reward, answer, solution, { accu_reward_method: method }, { images: [PICTURE] })).toBe(expected);
  });

  test("takes the place of the reward's own", () => {
    expect(judged(accuracy({ method: "math" }), "苹果汁", "苹果", { accu_reward_method: "ratio" })).toBe(0.8);
    expect(judged(accuracy({ method: "ratio" }), "苹果汁", "苹果")).toBe(0.8);
  });

  test.each([
    ["llm", /judge/],
    ["mpc", undefined],
    [3, undefined],
  ])("%j is refused", (method, hint) => {
    const run = () => judged(accuracy(), "1", "1", { accu_reward_method: method });
    expect(run).toThrowError(
      expect.objectContaining({
        code: "ERR_DATA",
        message: expect.stringContaining(`got ${JSON.stringify(method)}`),
        hint: hint === undefined ? undefined : expect.stringMatching(hint),
      }),
    );
  });
});
