import type { NativeGroup } from "../engine/index.js";

/** Tokens that a group takes in a packed tree: its prompt once, and every completion. */
export function groupTokens(group: NativeGroup): number {
  return group.completions.reduce((sum, completion) => sum + completion.length, group.prompt.tokens.length);
}

/** The items of each optimizer update that one rollout is cut into; the last one may have fewer. */
export function updatesOf<T>(items: readonly T[], promptsPerUpdate: number): T[][] {
  const count = Math.ceil(items.length / promptsPerUpdate);
  return Array.from({ length: count }, (_, update) =>
    items.slice(update * promptsPerUpdate, (update + 1) * promptsPerUpdate),
  );
}

/**
 * Cuts groups, in their order, into batches of at most `budget` tokens. A group is never cut: one that is larger than
 * the budget is a batch of its own. `tokensOf` measures an item.
 */
export function packGroups<T>(items: readonly T[], budget: number, tokensOf: (item: T) => number): T[][] {
  const batches: T[][] = [];
  let current: T[] = [];
  let used = 0;
  for (const item of items) {
    const size = tokensOf(item);
    if (current.length > 0 && used + size > budget) {
      batches.push(current);
      current = [];
      used = 0;
    }
    current.push(item);
    used += size;
  }
  if (current.length > 0) batches.push(current);
  return batches;
}
