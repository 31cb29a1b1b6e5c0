import { named } from "./named.js";
import type { RewardFunction } from "./types.js";

const SHAPE = /^<think>[\s\S]*?<\/think>\s*<answer>[\s\S]*?<\/answer>$/;

/** 1 when the whole completion is `<think>…</think>`, white space, `<answer>…</answer>`; else 0. */
export function format(): RewardFunction {
  return named("format", (completion) => formatReward(completion));
}

export function formatReward(completion: string): number {
  return SHAPE.test(completion) ? 1 : 0;
}
