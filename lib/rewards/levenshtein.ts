/**
 * python-Levenshtein's `ratio`: 1 − d / (|a| + |b|) with d the number of code points to insert and delete (a
 * replacement costs 2), that is 2·LCS / (|a| + |b|). 1 for two empty strings. Bit-equal to the Python package.
 */
export function levenshteinRatio(a: string, b: string): number {
  const left = codePoints(a);
  const right = codePoints(b);
  const total = left.length + right.length;
  if (total === 0) return 1;
  const distance = total - 2 * longestCommonSubsequence(left, right);
  // Not 2·LCS / total: the package rounds the distance's share first, and the two differ in the last bit.
  return 1 - distance / total;
}

function codePoints(text: string): Uint32Array {
  return Uint32Array.from(text, (character) => character.codePointAt(0) ?? 0);
}

/** Length of the longest common subsequence; common ends are cut off first. */
function longestCommonSubsequence(a: Uint32Array, b: Uint32Array): number {
  let start = 0;
  let endA = a.length;
  let endB = b.length;
  while (start < endA && start < endB && a[start] === b[start]) start += 1;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA -= 1;
    endB -= 1;
  }
  const common = start + (a.length - endA);
  const [short, long] =
    endA < endB
      ? [a.subarray(start, endA), b.subarray(start, endB)]
      : [b.subarray(start, endB), a.subarray(start, endA)];
  return common + middleSubsequence(short, long);
}

/**
 * Hyyrö's bit-parallel algorithm, 32 columns of the table in a word: O(|short|/32 · |long|) time, so that a completion
 * of a million characters is compared with a solution in milliseconds. A column's bit is 0 where the length grows.
 */
function middleSubsequence(short: Uint32Array, long: Uint32Array): number {
  const words = Math.ceil(short.length / 32);
  const places = placesOf(short, words);
  const state = new Uint32Array(words).fill(0xffffffff);
  for (const symbol of long) {
    const matches = places.get(symbol);
    if (matches === undefined) continue;
    let carry = 0;
    for (let word = 0; word < words; word += 1) {
      const old = state[word] as number;
      const hits = (old & (matches[word] as number)) >>> 0;
      const sum = old + hits + carry;
      carry = sum > 0xffffffff ? 1 : 0;
      state[word] = (sum | (old & ~hits)) >>> 0;
    }
  }
  let length = 0;
  for (let index = 0; index < short.length; index += 1) {
    if ((((state[index >>> 5] as number) >>> (index & 31)) & 1) === 0) length += 1;
  }
  return length;
}

/** By symbol, a bit for each of its places. */
function placesOf(text: Uint32Array, words: number): Map<number, Uint32Array> {
  const places = new Map<number, Uint32Array>();
  for (const [index, symbol] of text.entries()) {
    let bits = places.get(symbol);
    if (bits === undefined) {
      bits = new Uint32Array(words);
      places.set(symbol, bits);
    }
    bits[index >>> 5] = ((bits[index >>> 5] as number) | (1 << (index & 31))) >>> 0;
  }
  return places;
}
