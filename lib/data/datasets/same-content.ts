import { realpath } from "node:fs/promises";
import { resolve } from "node:path";
import { mapBounded } from "../map-bounded.js";
import type { Row } from "./row.js";

/** Paths that are looked up at a time. */
const WIDTH = 16;

/**
 * What rows are told apart by: the real paths of a row's pictures, or the text of its question where it has none. Rows
 * that share one are not independent: what is learnt from one helps with the other. Copies of a picture under other
 * names are not found out.
 */
export async function contentKeys(rows: readonly Row[], signal?: AbortSignal): Promise<string[][]> {
  const paths = [...new Set(rows.flatMap(({ images }) => images))];
  const real = await mapBounded(paths, realPath, { width: WIDTH, signal });
  const realOf = new Map(paths.map((path, index) => [path, real[index] as string]));
  return rows.map((row) => {
    if (row.images.length === 0) return [`text:${conversationOf(row)}`];
    return row.images.map((path) => `file:${realOf.get(path)}`);
  });
}

/** A picture that is not there is met, and named, when its row is taken; here its path stands for it. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return resolve(path);
  }
}

function conversationOf({ messages }: Row): string {
  const turns = messages.map(({ role, content }) => {
    const text =
      typeof content === "string" ? content : content.map((part) => ("text" in part ? part.text : "")).join("");
    return [role, text.trim()];
  });
  return JSON.stringify(turns);
}

/** Rows that hang together by shared keys, directly or through others: their numbers, groups by their first row. */
export function linkedRows(keys: readonly (readonly string[])[]): number[][] {
  const parents = Uint32Array.from(keys, (_, index) => index);
  const rootOf = (row: number): number => {
    let root = row;
    while (parents[root] !== root) {
      parents[root] = parents[parents[root] as number] as number;
      root = parents[root] as number;
    }
    return root;
  };
  const owners = new Map<string, number>();
  for (const [row, own] of keys.entries()) {
    for (const key of own) {
      const owner = owners.get(key);
      if (owner === undefined) owners.set(key, row);
      else join(parents, rootOf(owner), rootOf(row));
    }
  }
  const groups = new Map<number, number[]>();
  for (const row of keys.keys()) {
    const root = rootOf(row);
    const group = groups.get(root);
    if (group === undefined) groups.set(root, [row]);
    else group.push(row);
  }
  return [...groups.values()];
}

/** The earlier row stays the root, which makes every group's root its first row. */
function join(parents: Uint32Array, one: number, other: number): void {
  parents[Math.max(one, other)] = Math.min(one, other);
}
