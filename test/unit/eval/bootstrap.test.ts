import { describe, expect, it, test } from "vitest";
import { RandomStream } from "../../../lib/data/random.js";
import { pairedBootstrap } from "../../../lib/eval/index.js";

const rows = Array.from({ length: 40 }, (_, row) => row);
const first = rows.map((row) => (row * 0.61803398875) % 1);
const second = rows.map((row) => ((row * 0.41421356237) % 1) + 0.15);

describe("the paired bootstrap", () => {
  it("has the interval that four million resamples of numpy have", async () => {
    const { difference, probabilityHigher, higher, lower, equal } = await pairedBootstrap(first, second, {
      resamples: 100_000,
    });
    expect(difference.value).toBeCloseTo(0.15050168558999938, 12);
    // The standard error of such a percentile is 0.0003.
    expect(Math.abs(difference.low - 0.0274119)).toBeLessThan(0.002);
    expect(Math.abs(difference.high - 0.27279394)).toBeLessThan(0.002);
    expect(probabilityHigher).toBeCloseTo(0.9917, 2);
    expect(higher + lower + equal).toBe(40);
  });

  it("draws clusters of different sizes as wholes, as numpy does", async () => {
    const clusters = rows.map((row) => Math.floor(row ** 0.8 / 1.1));
    const { difference, probabilityHigher, ...signs } = await pairedBootstrap(first, second, {
      clusters,
      resamples: 100_000,
    });
    expect(difference.value).toBeCloseTo(0.15050168558999938, 12);
    expect(Math.abs(difference.low - 0.05448474)).toBeLessThan(0.002);
    expect(Math.abs(difference.high - 0.23849121)).toBeLessThan(0.002);
    expect(probabilityHigher).toBeCloseTo(0.9988, 3);
    expect(signs).toMatchObject({ higher: 14, lower: 4, equal: 0 });
    // The numbers of the clusters are names: others in their place, also far apart, change nothing.
    const renamed = await pairedBootstrap(first, second, {
      clusters: clusters.map((cluster) => 1000 - 7 * cluster),
      resamples: 500,
    });
    expect(renamed).toEqual(await pairedBootstrap(first, second, { clusters, resamples: 500 }));
  });

  it("takes questions about one picture for less than independent ones", async () => {
    const eight = <T>(values: readonly T[]) => values.flatMap((value) => Array.from({ length: 8 }, () => value));
    const width = ({ low, high }: { low: number; high: number }) => high - low;
    const alone = width((await pairedBootstrap(first, second)).difference);
    const [a, b, clusters] = [eight(first), eight(second), eight(rows)];
    // Copies add nothing: drawn together they change no bit.
    expect((await pairedBootstrap(a, b, { clusters })).difference).toMatchObject({
      low: expect.closeTo((await pairedBootstrap(first, second)).difference.low, 10),
      high: expect.closeTo((await pairedBootstrap(first, second)).difference.high, 10),
    });
    expect(width((await pairedBootstrap(a, b)).difference)).toBeLessThan(alone / 2.5);
  });

  it("depends on its seed alone", async () => {
    const of = (seed: number) => pairedBootstrap(first, second, { seed, resamples: 1000 });
    expect(await of(3)).toEqual(await of(3));
    expect((await of(3)).difference.low).not.toBe((await of(4)).difference.low);
    expect((await of(3)).difference.value).toBe((await of(4)).difference.value);
  });

  it("gives McNemar's p for right and wrong, and half of the chance to what is the same", async () => {
    const right = (wins: number, losses: number, ties: number) => [
      [...Array(wins).fill(0), ...Array(losses).fill(1), ...Array(ties).fill(1)] as number[],
      [...Array(wins).fill(1), ...Array(losses).fill(0), ...Array(ties).fill(1)] as number[],
    ];
    const [one, two] = right(10, 3, 20);
    expect(await pairedBootstrap(one!, two!)).toMatchObject({ higher: 10, lower: 3, equal: 20 });
    expect((await pairedBootstrap(one!, two!)).pValue).toBeCloseTo(756 / 8192, 15);
    expect(await pairedBootstrap([1, 1], [1, 1])).toEqual({
      difference: { value: 0, low: 0, high: 0 },
      probabilityHigher: 0.5,
      pValue: 1,
      higher: 0,
      lower: 0,
      equal: 2,
    });
  });

  it("leaves the event loop its turns, and stops where it is told to", async () => {
    const controller = new AbortController();
    let turns = 0;
    const timer = setInterval(() => ++turns === 3 && controller.abort(new Error("enough")), 0);
    // Many seconds of draws.
    const endless = pairedBootstrap(first, second, { resamples: 20_000_000, signal: controller.signal });
    await expect(endless).rejects.toThrow("enough");
    clearInterval(timer);
    expect(turns).toBeGreaterThanOrEqual(3);
  });

  it("refuses what is not paired", async () => {
    await expect(pairedBootstrap([1], [1, 2])).rejects.toThrow("got 1 and 2");
    await expect(pairedBootstrap([], [])).rejects.toThrow("at least one");
    await expect(pairedBootstrap([1, Number.NaN], [1, 2])).rejects.toThrow("finite numbers");
    await expect(pairedBootstrap([1, 2], [1, 2], { clusters: [0] })).rejects.toThrow("a cluster for each");
  });
});

test("of 95 % intervals about 95 % hold the true difference, also of rows that come in clusters", async () => {
  const random = new RandomStream(1, 2, 3);
  // Right or wrong, 10 % better on average; a cluster's three rows share most of their luck.
  const truth = 0.1;
  const experiments = 400;
  let held = 0;
  let heldAlone = 0;
  for (let experiment = 0; experiment < experiments; experiment += 1) {
    const a: number[] = [];
    const b: number[] = [];
    const clusters: number[] = [];
    for (let cluster = 0; cluster < 60; cluster += 1) {
      const [before, after] = [Number(random.uniform() < 0.5), Number(random.uniform() < 0.6)];
      for (let row = 0; row < 3; row += 1) {
        a.push(before);
        b.push(after);
        clusters.push(cluster);
      }
    }
    const options = { resamples: 400, seed: experiment };
    const holds = ({ low, high }: { low: number; high: number }) => Number(low <= truth && truth <= high);
    held += holds((await pairedBootstrap(a, b, { ...options, clusters })).difference);
    heldAlone += holds((await pairedBootstrap(a, b, options)).difference);
  }
  // The standard error of the share is 1.1 %.
  expect(held / experiments).toBeGreaterThan(0.92);
  expect(held / experiments).toBeLessThan(0.98);
  expect(heldAlone / experiments).toBeLessThan(0.85);
});
