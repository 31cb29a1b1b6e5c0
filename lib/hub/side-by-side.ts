import { abortReason } from "../errors/index.js";

/**
 * Runs `work` on all items, `width` at a time. The first failure aborts the others' signal, and is thrown when all of
 * them have ended.
 */
export async function sideBySide<T>(
  items: readonly T[],
  width: number,
  outer: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const group = new AbortController();
  const follow = () => group.abort(outer && abortReason(outer));
  if (outer?.aborted) follow();
  else outer?.addEventListener("abort", follow, { once: true });
  const failures: unknown[] = [];
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined && failures.length === 0; item = left.shift()) {
      try {
        await work(item, group.signal);
      } catch (error) {
        failures.push(error);
        group.abort(error);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  } finally {
    outer?.removeEventListener("abort", follow);
  }
  if (failures.length > 0) throw failures[0];
}
