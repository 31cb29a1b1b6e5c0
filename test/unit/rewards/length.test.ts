import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cosine, type RewardFunction, repetition, softOverlong } from "../../../lib/rewards/index.js";
import { goldenJson } from "../../support/golden.js";
import { judged, rewardContext, rewardRow, tokensOf } from "../../support/rewards.js";

const golden = goldenJson<{
  cosine: { settings: Record<string, number>; correct: boolean; lengths: number[]; rewards: number[] }[];
  soft_overlong: { max_completion_length: number; cache: number; lengths: number[]; rewards: number[] }[];
  repetition: { ngram_size: number; max_penalty: number; tokens: number[]; text: string; reward: number }[];
}>("rewards.json");

describe("cosine", () => {
  test.each(golden.cosine)("is TRL's ($settings, correct: $correct)", ({ settings, correct, lengths, rewards }) => {
    const reward = cosine(settings as object);
    const values = lengths.map((length) =>
      judged(reward, correct ? "12" : "13", "12", {}, { tokens: tokensOf(length) }),
    );
    for (const [index, value] of values.entries()) expect(value).toBeCloseTo(rewards[index] as number, 14);
  });

  test("both branches live: correct answers lose by length, wrong ones gain", () => {
    const at = (answer: string, length: number) =>
      judged(cosine({ maxLen: 100 }), answer, "12", {}, { tokens: tokensOf(length) });
    expect([at("12", 0), at("12", 50), at("12", 100), at("12", 500)]).toEqual([1, 0.75, 0.5, 0.5]);
    expect([at("13", 0), at("13", 50), at("13", 100), at("13", 500)]).toEqual([-1, -0.75, -0.5, -0.5]);
  });

  test("ends at the run's max_completion_length unless told otherwise", () => {
    expect(judged(cosine(), "12", "12", {}, { tokens: tokensOf(64), maxCompletionLength: 64 })).toBe(0.5);
  });

  test("another reward may say what is correct, now or later; where it does not apply, this does not", async () => {
    const tokens = tokensOf(0);
    const inner = (reward: RewardFunction) => judged(cosine({ reward, threshold: 2 }), "", "", {}, { tokens });
    expect(inner(() => 2)).toBe(1);
    expect(inner(() => 1.9)).toBe(-1);
    expect(inner(() => null)).toBeNull();
    expect(await inner(async () => 2)).toBe(1);
    expect(await inner(async () => undefined)).toBeNull();
    await expect(inner(async () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  test("values the wrong way round are refused", () => {
    expect(() => cosine({ minValueWrong: 0, maxValueWrong: -1 })).toThrowError(/min values below max/);
    expect(() => cosine({ maxLen: 0 })).toThrowError(/max_len/);
  });
});

describe("soft_overlong", () => {
  test.each(golden.soft_overlong)(
    "is TRL's ($max_completion_length, $cache)",
    ({ max_completion_length: maxCompletionLength, cache, lengths, rewards }) => {
      const reward = softOverlong({ maxCompletionLength, cache });
      const values = lengths.map((length) => reward("", rewardRow(""), rewardContext({ tokens: tokensOf(length) })));
      expect(values.map((value) => (value as number) + 0)).toEqual(rewards);
    },
  );

  test("takes the run's max_completion_length and a fifth of it unless told otherwise", () => {
    const at = (length: number) =>
      softOverlong()("", rewardRow(""), rewardContext({ tokens: tokensOf(length), maxCompletionLength: 100 }));
    expect([at(80), at(90), at(100)]).toEqual([0, -0.5, -1]);
    expect(() => softOverlong({ cache: 101 })("", rewardRow(""), rewardContext({ maxCompletionLength: 100 }))).toThrow(
      /at most 100/,
    );
  });
});

describe("repetition", () => {
  const of = (text: string, options = {}, tokens: number[] = []) =>
    repetition(options)(text, rewardRow(""), rewardContext({ tokens })) as number;

  test.each(golden.repetition)(
    "is TRL's by tokens and by words",
    ({ ngram_size, max_penalty, tokens, text, reward }) => {
      const settings = { ngramSize: ngram_size, maxPenalty: max_penalty };
      expect(of("", { ...settings, unit: "token" }, tokens)).toBeCloseTo(reward, 14);
      expect(of(text, { ...settings, unit: "word" })).toBeCloseTo(reward, 14);
      expect(of(text, settings)).toBeCloseTo(reward, 14);
    },
  );

  test("scripts without spaces count by characters", () => {
    expect(of("好好好好好好好好好好")).toBeCloseTo(-(1 - 1 / 5), 12);
    expect(of("今天天气很好我们去公园")).toBe(0);
    expect(of("好好好好好好好好好好", { unit: "word" })).toBe(0);
    expect(of("𠮷𠮷𠮷𠮷", { ngramSize: 2 })).toBeCloseTo(-(1 - 1 / 3), 12);
    expect(of("aaaa", { ngramSize: 2, unit: "character" })).toBeCloseTo(-(1 - 1 / 3), 12);
  });

  test("case does not matter, short texts earn 0", () => {
    expect(of("The the THE", { ngramSize: 1 })).toBeCloseTo(-2 / 3, 12);
    expect(of("a a a a a")).toBe(0);
    expect(of("")).toBe(0);
  });

  test("stays from max_penalty to 0", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.integer({ min: 1, max: 8 }), (text, ngramSize) => {
        const value = of(text, { ngramSize, maxPenalty: -0.5 });
        expect(value).toBeGreaterThanOrEqual(-0.5);
        expect(value).toBeLessThanOrEqual(0);
      }),
    );
  });
});
