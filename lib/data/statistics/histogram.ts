/** Bars: `counts[i]` values lie in [edges[i], edges[i + 1]), the last one includes its upper edge. */
export interface Histogram {
  edges: number[];
  counts: number[];
}

/** Bars at most, unless told otherwise. */
const BARS = 12;

/**
 * Counts values in bars of one width, which is 1, 2 or 5 times a power of ten, and whose edges are multiples of it.
 * Values that are not finite are left out; undefined where none is left.
 */
export function histogram(values: readonly number[], bars = BARS): Histogram | undefined {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return undefined;
  const low = finite.reduce((a, b) => Math.min(a, b));
  const high = finite.reduce((a, b) => Math.max(a, b));
  const { scale, power } = roundWidth(low, high, bars, finite.every(Number.isInteger));
  const edgeAt = (place: number) => multiple(place, scale, power);
  const first = floorPlace(low, edgeAt, scale * 10 ** power);
  const last = Math.max(first + 1, ceilPlace(high, edgeAt, scale * 10 ** power));
  const edges = Array.from({ length: last - first + 1 }, (_, index) => edgeAt(first + index));
  const counts = new Array<number>(edges.length - 1).fill(0);
  for (const value of finite) {
    const bar = Math.min(counts.length - 1, upperBound(edges, value) - 1);
    counts[bar] = (counts[bar] as number) + 1;
  }
  return { edges, counts };
}

/** The least round width with which the values' range takes no more than `bars`; of whole numbers 1 at least. */
function roundWidth(low: number, high: number, bars: number, whole: boolean): { scale: number; power: number } {
  // Halved before the difference is taken: the range of two huge numbers has to be one.
  const least = Math.max((high / 2 - low / 2) * (2 / bars), Math.abs(high) * 1e-12, Number.MIN_VALUE * 1e16);
  let power = Math.floor(Math.log10(least));
  if (whole && power < 0) return { scale: 1, power: 0 };
  for (; ; power += 1) {
    for (const scale of [1, 2, 5]) {
      const width = scale * 10 ** power;
      if (width >= least && Math.ceil(high / width) - Math.floor(low / width) <= bars) return { scale, power };
    }
    if (power > 308) return { scale: 1, power: 308 };
  }
}

/** Divided by a whole power of ten where the width is below 1: 0.3, not 0.30000000000000004. */
function multiple(place: number, scale: number, power: number): number {
  const value = power < 0 ? (place * scale) / 10 ** -power : place * scale * 10 ** power;
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value));
}

function floorPlace(value: number, edgeAt: (place: number) => number, width: number): number {
  let place = Math.floor(value / width);
  while (edgeAt(place) > value) place -= 1;
  return place;
}

function ceilPlace(value: number, edgeAt: (place: number) => number, width: number): number {
  let place = Math.ceil(value / width);
  while (edgeAt(place) < value) place += 1;
  return place;
}

/** How many of the ascending edges are at most `value`. */
function upperBound(edges: readonly number[], value: number): number {
  let from = 0;
  let to = edges.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((edges[middle] as number) <= value) from = middle + 1;
    else to = middle;
  }
  return from;
}
