import { throwIfAborted } from "../errors/index.js";

export interface MapBoundedOptions {
  /** Items that are worked on at a time. */
  width: number;
  signal?: AbortSignal | undefined;
  /** After each item: how many are done. */
  onDone?: ((done: number) => void) | undefined;
}

/** `work` of every item, in their order, of at most `width` at a time. The first error ends it. */
export async function mapBounded<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  { width, signal, onDone }: MapBoundedOptions,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let done = 0;
  let failed = false;
  const worker = async () => {
    while (next < items.length && !failed) {
      throwIfAborted(signal);
      const index = next++;
      results[index] = await work(items[index] as T, index);
      done += 1;
      onDone?.(done);
    }
  };
  const workers = Array.from({ length: Math.min(width, items.length) }, () =>
    worker().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  await Promise.all(workers);
  return results;
}
