import type { NamedReward, RewardFunction } from "./types.js";

/** Gives a reward the name that metrics use, as the function's own `name`. */
export function named(name: string, compute: RewardFunction): RewardFunction {
  return Object.defineProperty(compute, "name", { value: name, configurable: true });
}

/**
 * Names for a run's rewards: each function's own (`reward` where it has none), cleaned to `[A-Za-z0-9_.-]` since they
 * become part of metric names, and numbered where two are equal.
 */
export function nameRewards(functions: readonly RewardFunction[]): NamedReward[] {
  const used = new Map<string, number>();
  return functions.map((compute) => {
    const base = compute.name.replace(/[^\p{L}\p{N}_.-]+/gu, "_") || "reward";
    const count = (used.get(base) ?? 0) + 1;
    used.set(base, count);
    return { name: count === 1 ? base : `${base}_${count}`, compute };
  });
}
