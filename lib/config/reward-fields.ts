import { z } from "zod";
import { underHeading } from "./headings.js";

interface Weighted {
  rewards: readonly string[];
  rewardWeights?: readonly number[] | undefined;
}

/** For `z.refine`: as many weights as rewards. */
export function hasWeightPerReward({ rewards, rewardWeights }: Weighted): boolean {
  return rewardWeights === undefined || rewardWeights.length === rewards.length;
}

/** What `hasWeightPerReward` refuses. */
export const WEIGHT_PER_REWARD = {
  path: ["rewardWeights"],
  error: ({ input }: { input?: unknown }) => `expected one weight per reward (${(input as Weighted).rewards.length})`,
};

/** What completions are judged by. */
export const rewardFields = underHeading("Rewards", {
  rewards: z
    .array(z.string().min(1))
    .min(1)
    .default(["content", "format"])
    .meta({
      description:
        "built-in rewards and files of your own, as ./mine.mjs or ./mine.mjs#name; settings follow a question mark, " +
        "as in cosine?max_len=256",
      aliases: ["reward", "rewardFuncs"],
    }),
  rewardWeights: z.array(z.number()).optional().describe("one weight per reward (default: all 1)"),
  rewardTimeout: z.number().gt(0).default(30).describe("seconds that one call of a reward may take"),
  rewardConcurrency: z.int().min(1).default(64).describe("calls of one reward that may wait for an answer at once"),
  rewardRetries: z.int().min(0).default(0).describe("how often a call that failed is repeated, with growing pauses"),
});
