import { z } from "zod";
import { named } from "./named.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

export const RepetitionSettings = z.object({
  ngramSize: z.int().min(1).default(6).describe("units in an n-gram"),
  maxPenalty: z.number().max(0).default(-1).describe("of a text that repeats all the time"),
  unit: z
    .enum(["auto", "word", "character", "token"])
    .default("auto")
    .describe("what n-grams are of; auto: words, and single characters of scripts without spaces"),
});
export type RepetitionOptions = z.input<typeof RepetitionSettings>;

/** Scripts that are written without spaces between words. */
const UNSPACED = String.raw`\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}`;
const AUTO = new RegExp(String.raw`[${UNSPACED}]|[^\s${UNSPACED}]+`, "gu");

/**
 * max_penalty · (1 − different n-grams / n-grams), from max_penalty to 0 (Yeo et al. 2025, arXiv 2502.03373, appendix
 * C.2). A text of fewer units than an n-gram earns 0. Case does not matter; with `unit: "token"` it is TRL's.
 */
export function repetition(options: RepetitionOptions = {}): RewardFunction {
  const { ngramSize, maxPenalty, unit } = readSettings("repetition", RepetitionSettings, options);
  return named("repetition", (completion, _row, { tokens }) => {
    const share = repeatedShare(unit === "token" ? Array.from(tokens, String) : units(completion, unit), ngramSize);
    return share === 0 ? 0 : share * maxPenalty;
  });
}

function units(text: string, unit: "auto" | "word" | "character"): string[] {
  const lower = text.toLowerCase();
  if (unit === "auto") return lower.match(AUTO) ?? [];
  const words = lower.split(/\s+/).filter((word) => word !== "");
  return unit === "word" ? words : words.flatMap((word) => [...word]);
}

/** The share of n-grams that came before. */
export function repeatedShare(parts: readonly string[], size: number): number {
  const total = parts.length - size + 1;
  if (total <= 0) return 0;
  const ids = new Map<string, number>();
  const numbered = Int32Array.from(parts, (part) => {
    const id = ids.get(part) ?? ids.size;
    ids.set(part, id);
    return id;
  });
  // One level a unit: (n−1)-gram and next unit name the n-gram, so long words and long n-grams cost no more.
  let grams = Array.from(numbered.subarray(0, parts.length));
  for (let length = 2; length <= size; length += 1) {
    const names = new Map<number, number>();
    const next: number[] = [];
    for (let at = 0; at + length <= parts.length; at += 1) {
      const key = (grams[at] as number) * ids.size + (numbered[at + length - 1] as number);
      const name = names.get(key) ?? names.size;
      names.set(key, name);
      next.push(name);
    }
    grams = next;
  }
  return 1 - new Set(grams).size / total;
}
