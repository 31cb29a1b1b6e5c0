/** Result and seconds of a call. */
export async function timed(body) {
  const start = performance.now();
  const result = await body();
  return { seconds: (performance.now() - start) / 1000, result };
}

/**
 * Runs all variants in turn, `rounds` times after a first time that is not counted, so that a slow moment of the machine
 * hits all of them. A variant gets the round's number as its seed.
 * @param {Record<string, (seed: number) => Promise<T>>} variants
 * @returns {Promise<Record<string, T[]>>}
 */
export async function takeTurns(variants, rounds) {
  const results = Object.fromEntries(Object.keys(variants).map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of Object.entries(variants)) {
      const result = await run(round);
      if (round > 0) results[name].push(result);
    }
  }
  return results;
}
