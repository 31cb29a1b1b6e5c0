import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { named } from "./named.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

/** DAPO's own share: 4,096 of 20,480 tokens. */
const DEFAULT_SHARE = 0.2;

export const SoftOverlongSettings = z.object({
  maxCompletionLength: z.int().min(1).optional().describe("most tokens (default: the run's max_completion_length)"),
  cache: z
    .int()
    .min(0)
    .optional()
    .describe("tokens before the end over which the punishment grows (default: a fifth of max_completion_length)"),
});
export type SoftOverlongOptions = z.input<typeof SoftOverlongSettings>;

/**
 * DAPO's soft overlong punishment (arXiv 2503.14476, equation 13), from −1 to 0: 0 up to max − cache tokens, then
 * falling to −1 at max tokens, −1 beyond.
 */
export function softOverlong(options: SoftOverlongOptions = {}): RewardFunction {
  const settings = readSettings("soft_overlong", SoftOverlongSettings, options);
  return named("soft_overlong", (_completion, _row, { tokens, maxCompletionLength }) => {
    const max = settings.maxCompletionLength ?? maxCompletionLength;
    const cache = settings.cache ?? Math.floor(max * DEFAULT_SHARE);
    if (cache > max) {
      throw new VlmR1Error("ERR_REWARD", `soft_overlong: expected a cache of at most ${max} tokens, got ${cache}`);
    }
    const { length } = tokens;
    if (length <= max - cache) return 0;
    return length > max ? -1 : (max - cache - length) / cache;
  });
}
