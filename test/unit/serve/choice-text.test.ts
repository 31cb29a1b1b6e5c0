import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { Tokenizer } from "../../../lib/processing/index.js";
import { ChoiceText } from "../../../lib/serve/choice-text.js";
import { goldenPath } from "../../support/golden.js";

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await Tokenizer.load(goldenPath("qwen2_5_vl_a"));
});

function grow(tokens: readonly number[], stops: readonly string[]) {
  const choice = new ChoiceText(tokenizer, stops, true);
  const deltas = tokens.map((token, index) => {
    choice.push(token, -1 - index);
    return choice.take();
  });
  choice.end();
  deltas.push(choice.take(true));
  const text = deltas.map((delta) => delta.text).join("");
  const logprobs = deltas.flatMap((delta) => delta.logprobs);
  return { deltas, text, logprobs, stopped: choice.stopped };
}

describe("the text of an answer", () => {
  test("is whole characters, each with its tokens", () => {
    const tokens = tokenizer.encode("a 🦀!");
    const { deltas, text, logprobs } = grow([...tokens, 310], []);
    expect(text).toBe("a 🦀!");
    expect(deltas.map((delta) => delta.text).filter((piece) => piece.includes("🦀"))).toEqual(["🦀"]);
    // The end token is no part of the text.
    expect(logprobs.map(({ logprob }) => logprob)).toEqual(tokens.map((_, index) => -1 - index));
    expect(logprobs[0]).toEqual({ token: "a", logprob: -1, bytes: [97], top_logprobs: [] });
    // A character of several tokens is put together of their bytes.
    expect(logprobs.length).toBeGreaterThan("a 🦀!".length);
    expect(Buffer.from(logprobs.flatMap(({ bytes }) => bytes!)).toString()).toBe("a 🦀!");
  });

  test("is cut in front of a stop string that lies across tokens, with the tokens behind", () => {
    const tokens = tokenizer.encode("one two three");
    const { text, logprobs, stopped } = grow(tokens, ["o th"]);
    expect({ text, stopped }).toEqual({ text: "one tw", stopped: true });
    const said = logprobs.map(({ token }) => token).join("");
    expect(said.startsWith("one tw")).toBe(true);
    expect("one two three".startsWith(said)).toBe(true);
    expect(logprobs.length).toBeLessThan(tokens.length);
  });

  test("says what was held back at the end, and half a character as what it is", () => {
    const crab = tokenizer.encode("🦀");
    const { text, logprobs } = grow([...tokenizer.encode("so <"), ...crab.slice(0, 2)], ["</end>"]);
    expect(text).toBe("so <\uFFFD");
    expect(logprobs).toHaveLength(tokenizer.encode("so <").length + 2);
  });

  test("has JSON's numbers only", () => {
    const choice = new ChoiceText(tokenizer, [], true);
    choice.push(tokenizer.encode("a")[0]!, Number.NEGATIVE_INFINITY);
    expect(choice.take().logprobs[0]?.logprob).toBe(-9999);
  });

  test("is that of all tokens at once, with any pieces and stops", () => {
    const ids = fc.array(fc.nat(319), { maxLength: 20 });
    fc.assert(
      fc.property(ids, fc.array(fc.string({ minLength: 1, maxLength: 2 }), { maxLength: 2 }), (tokens, stops) => {
        const { text, logprobs, stopped } = grow(tokens, stops);
        const whole = tokenizer.decode(tokens, { skipSpecialTokens: true });
        if (stopped) expect(whole.startsWith(text)).toBe(true);
        else expect(text).toBe(whole);
        for (const stop of stops) expect(text).not.toContain(stop);
        const spoken = tokens.filter((token) => !tokenizer.isSpecial(token)).length;
        expect(logprobs.length).toBeLessThanOrEqual(spoken);
        if (!stopped) expect(logprobs).toHaveLength(spoken);
      }),
    );
  });
});
