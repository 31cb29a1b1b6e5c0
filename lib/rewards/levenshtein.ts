/**
 * python-Levenshtein's `ratio`: 1 − d / (|a| + |b|) with d the number of code points to insert and delete (a
 * replacement costs 2), that is 2·LCS / (|a| + |b|). 1 for two empty strings. Bit-equal to the Python package.
 */
export function ratio(a: string, b: string): number {
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

/** Length of the longest common subsequence; O(|a|·|b|) time after the common ends are cut off, O(|b|) memory. */
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
  return common + middleSubsequence(a.subarray(start, endA), b.subarray(start, endB));
}

function middleSubsequence(a: Uint32Array, b: Uint32Array): number {
  let previous = new Uint32Array(b.length + 1);
  let current = new Uint32Array(b.length + 1);
  for (const symbol of a) {
    for (let j = 0; j < b.length; j += 1) {
      current[j + 1] =
        symbol === b[j] ? (previous[j] as number) + 1 : Math.max(previous[j + 1] as number, current[j] as number);
    }
    [previous, current] = [current, previous];
  }
  return previous[b.length] as number;
}
