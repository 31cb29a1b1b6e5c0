import { createHash } from "node:crypto";

/**
 * A number in [0, 1) that depends on the seed and the parts alone: what it decides about one row does not change when
 * other rows come or go. 48 bits of SHA-256.
 */
export function drawOf(seed: number, ...parts: readonly string[]): number {
  const digest = createHash("sha256")
    .update(JSON.stringify([seed, ...parts]))
    .digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}

/** `count` of the items, in the order of their draws: an item more or less changes the choice only where it takes part. */
export function chooseSeeded<T>(items: readonly T[], count: number, draw: (item: T) => number): T[] {
  return items
    .map((item, index) => ({ item, index, drawn: draw(item) }))
    .sort((a, b) => a.drawn - b.drawn || a.index - b.index)
    .slice(0, count)
    .map(({ item }) => item);
}
