import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { named } from "./named.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

const DEFAULT_TAGS: readonly string[] = ["think", "answer"];

export const FormatSettings = z.object({
  tags: z
    .union([z.string(), z.array(z.string())], "expected names of tags, as think,answer")
    .default([...DEFAULT_TAGS])
    .transform((tags) => (typeof tags === "string" ? tags.split(",") : tags).map((tag) => tag.trim()))
    .describe("the tags that must follow each other"),
  once: z.boolean().default(false).describe("each tag opens and closes exactly once, also within the others"),
});
export type FormatOptions = z.input<typeof FormatSettings>;

/**
 * 1 when the whole completion is `<think>…</think>`, white space, `<answer>…</answer>` (or other `tags`, one after the
 * other); else 0. As in VLM-R1 the texts between may hold tags themselves, unless each tag is wanted `once`.
 */
export function format(options: FormatOptions = {}): RewardFunction {
  const { tags, once } = readSettings("format", FormatSettings, options);
  if (tags.length === 0 || tags.some((tag) => !/^[\p{L}\p{N}_.-]+$/u.test(tag))) {
    throw new VlmR1Error("ERR_REWARD", `the reward format: expected names of tags, got "${tags.join(",")}"`);
  }
  return named("format", (completion) => formatReward(completion, tags, once));
}

export function formatReward(completion: string, tags: readonly string[] = DEFAULT_TAGS, once = false): number {
  if (once && !tags.every((tag) => count(completion, `<${tag}>`) === 1 && count(completion, `</${tag}>`) === 1)) {
    return 0;
  }
  return Number(followEachOther(completion, tags));
}

/**
 * Takes the earliest place where a tag closes and the next opens: what follows has the most room, so no other place
 * can fit where this one does not. One pass, where a regular expression may take quadratic time.
 */
function followEachOther(text: string, tags: readonly string[]): boolean {
  const first = `<${tags[0]}>`;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const [index, tag] of tags.slice(0, -1).entries()) {
    const border = new RegExp(`</${escaped(tag)}>\\s*<${escaped(tags[index + 1] as string)}>`, "gu");
    border.lastIndex = at;
    if (border.exec(text) === null) return false;
    at = border.lastIndex;
  }
  const end = `</${tags.at(-1)}>`;
  return text.endsWith(end) && text.length - end.length >= at;
}

function escaped(tag: string): string {
  return tag.replace(/[.]/g, "\\$&");
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}
