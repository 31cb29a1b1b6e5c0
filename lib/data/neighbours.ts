/**
 * Cuts a list into runs whose places follow one another: one, unless something was left out. The engine numbers the
 * random streams of a call's prompts from that of the first one, so each run is a call of its own.
 */
export function neighbours<T>(items: readonly T[], placeOf: (item: T) => number): T[][] {
  const runs: T[][] = [];
  for (const item of items) {
    const run = runs.at(-1);
    const before = run?.at(-1);
    if (run !== undefined && before !== undefined && placeOf(before) === placeOf(item) - 1) run.push(item);
    else runs.push([item]);
  }
  return runs;
}
