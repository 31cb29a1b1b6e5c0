import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { builtInRewards, loadReward, type RewardFunction } from "../../../lib/rewards/index.js";
import { computingTime } from "../../support/computing-time.js";
import { PICTURE, rewardContext, rewardRow } from "../../support/rewards.js";

const SIZE = 400_000;
/** What computes longer is looked at: four times the text may take four times as long, not sixteen times. */
const SUSPICIOUS_MS = 1000;
const MOST_GROWTH = 9;
/** Looks, of which one must be good: a slow one may be a collection of garbage's. */
const LOOKS = 3;

const BOXES = '[{"bbox_2d": [1, 2, 3, 4], "label": "cat"}]';
const specs: [string, string][] = [
  ["content", "<answer>苹果 52千卡</answer>"],
  ["content_graded", "苹果 52千卡"],
  ["format", ""],
  ["format?once", ""],
  ["format?tags=answer", ""],
  ["accuracy", "1/2"],
  ["accuracy", "B"],
  ["accuracy", "a b c ".repeat(30)],
  ["accuracy?method=math", "1/2"],
  ["numeric", "52"],
  ["numeric?graded", "52"],
  ["ratio", "苹果 52千卡"],
  ["choice", "B"],
  ["yes_no", "yes"],
  ["iou", "[1, 2, 3, 4]"],
  ["detection", BOXES],
  ["detection?metric=f1", BOXES],
  ["detection?metric=weighted_sum", BOXES],
  ["cosine?reward=content", "苹果 52千卡"],
  ["soft_overlong", ""],
  ["repetition", ""],
  ["repetition?unit=character", ""],
  ["repetition?unit=word", ""],
  ["json?required=a", ""],
];
const context = rewardContext({ images: [PICTURE], question: "Which?\nA. one\nB. two", tokens: [1, 2, 3] });

function filled(piece: string): string {
  return piece.repeat(Math.ceil(SIZE / piece.length));
}

const hostile: [string, string][] = [
  ["opening tags", filled("<answer>")],
  ["thoughts", `<think>${filled("</think><answer>")}`],
  ["closed thoughts and spaces", `<think>${filled("</think>        ")}`],
  ["answers", filled("<answer>1</answer>")],
  ["spaces", `<answer>${filled(" ")}x</answer>`],
  ["announcements and spaces", `<answer>${filled("answer is   ")}</answer>`],
  ["digits", `<answer>${filled("1")}</answer>`],
  ["groups of digits", `<answer>${filled("1,111")},1111</answer>`],
  ["signs", `<answer>${filled("+-")}</answer>`],
  ["points", `<answer>${filled("1.")}</answer>`],
  ["brackets", `<answer>${filled("[")}</answer>`],
  ["boxes that do not end", `<answer>${filled("[1, 2, 3, ")}</answer>`],
  ["closing corners", `<answer>${filled("(1,2),( ")}</answer>`],
  ["braces", `<answer>${filled("{")}</answer>`],
  ["boxed", `<answer>${filled("\\boxed{")}</answer>`],
  ["fences", `<answer>${filled("```json ")}</answer>`],
  ["closed fences", `<answer>${filled("```json[]```")}</answer>`],
  ["capitals", `<answer>${filled("A ")}</answer>`],
  ["letters", `<answer>${filled("a")}</answer>`],
  ["characters without spaces", `<answer>${filled("果是否不")}</answer>`],
  ["full stops", `<answer>${filled(".")}</answer>`],
  ["LaTeX", `<answer>${filled("\\frac{1}{")}</answer>`],
  ["boxes", `<answer>[${'{"bbox_2d": [1, 2, 3, 4], "label": "cat"},'.repeat(8_000)}{}]</answer>`],
];

describe("a long text of", () => {
  test.each(hostile)("%s takes every reward no longer than a linear pass may", async (_, completion) => {
    for (const [spec, solution] of specs) {
      const reward = await loadReward(spec);
      const timeOf = (text: string) => computingTime(() => expectScore(reward, text, solution));
      for (let look = 1; ; look += 1) {
        const took = timeOf(completion);
        if (took < SUSPICIOUS_MS) break;
        const growth = took / timeOf(quarter(completion));
        if (growth <= MOST_GROWTH) break;
        if (look === LOOKS) expect.fail(`${spec}: ${took.toFixed(0)} ms, ${growth.toFixed(1)} times a quarter's`);
      }
    }
  });
});

/** The same text with a quarter of its middle. */
function quarter(text: string): string {
  const ends = 40;
  const middle = text.slice(ends, -ends);
  return text.slice(0, ends) + middle.slice(0, middle.length / 4) + text.slice(-ends);
}

/** Bounds of the built-in rewards under their defaults. */
const RANGES: Readonly<Record<string, [number, number]>> = {
  content: [0, 2],
  content_graded: [0, 2],
  cosine: [-1, 1],
  soft_overlong: [-1, 0],
  repetition: [-1, 0],
};

function expectScore(reward: RewardFunction, completion: string, solution: string): void {
  const value = reward(completion, rewardRow(solution), context);
  if (value === null) return;
  const [low, high] = RANGES[reward.name] ?? [0, 1];
  expect(value).toBeGreaterThanOrEqual(low);
  expect(value).toBeLessThanOrEqual(high + 1e-12);
}

describe("any text", () => {
  const piece = fc.constantFrom(
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "```json",
    "```",
    '[{"bbox_2d": [1,2,3,4], "label": "a"}]',
    "[1, 2, 3, 4]",
    "\\boxed{",
    "\\frac{1}{2}",
    "}",
    "B",
    "yes",
    "否",
    "１２",
    "1,234",
    "NaN",
    "-",
    " ",
    "\n",
    "\ud800",
  );
  const text = fc
    .array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 5 })), { maxLength: 12 })
    .map((pieces) => pieces.join(""));

  test("every built-in reward is here", () => {
    const here = new Set(specs.map(([spec]) => spec.replace(/\?.*/, "")));
    expect([...here, "judge"].sort()).toEqual([...builtInRewards].sort());
  });

  test.each([...new Set(specs.map(([spec]) => spec))])("gets a number in its range, or null, from %s", async (spec) => {
    const reward = await loadReward(spec);
    fc.assert(fc.property(text, text, (completion, solution) => expectScore(reward, completion, solution)));
  });
});
