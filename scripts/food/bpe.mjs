// A small, deterministic trainer for byte-level BPE.

/** GPT-2's printable stand-ins for the 256 bytes, in vocabulary order. */
export const BYTE_SYMBOLS = byteSymbols();
const SYMBOL_OF_BYTE = new Map(BYTE_SYMBOLS);

/** @typedef {[left: string, right: string]} Merge */

/**
 * @param {string} text
 * @returns {string[]} one symbol per UTF-8 byte
 */
export function toSymbols(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => SYMBOL_OF_BYTE.get(byte));
}

/**
 * Merges that put every character beyond ASCII together before anything else is merged. A token can
 * then never begin or end inside one of these characters.
 * @param {Iterable<string>} characters
 * @returns {Merge[]}
 */
export function characterMerges(characters) {
  const merges = new Map();
  for (const character of [...new Set(characters)].sort()) {
    const [first, ...rest] = toSymbols(character);
    rest.reduce((left, right) => {
      merges.set(`${left} ${right}`, [left, right]);
      return left + right;
    }, first);
  }
  // Shorter results first: the start of a character has to exist before its whole.
  return [...merges.values()].sort((a, b) => a.join("").length - b.join("").length);
}

/**
 * Learns merges by frequency; ties go to the pair that sorts first.
 * @param {Map<string, number>} words   pre-tokens and how often each occurs
 * @param {object} options
 * @param {Merge[]} options.seed        merges that come first
 * @param {number} options.minCount     rarer pairs are left alone
 * @param {(symbols: string) => boolean} options.allowed  whether a token may exist
 * @returns {Merge[]}
 */
export function learnMerges(words, { seed, minCount, allowed }) {
  const merges = [...seed];
  let entries = [...words].map(([word, count]) => ({ symbols: toSymbols(word), count }));
  for (const merge of seed) entries = entries.map((entry) => applyMerge(entry, merge));
  for (;;) {
    const best = mostFrequentPair(entries, allowed);
    if (!best || best.count < minCount) return merges;
    merges.push(best.pair);
    entries = entries.map((entry) => applyMerge(entry, best.pair));
  }
}

function mostFrequentPair(entries, allowed) {
  const counts = new Map();
  for (const { symbols, count } of entries) {
    for (let i = 1; i < symbols.length; i++) {
      const key = `${symbols[i - 1]} ${symbols[i]}`;
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  let best = null;
  for (const [key, count] of counts) {
    const better = !best || count > best.count || (count === best.count && key < best.key);
    if (better && allowed(key.replace(" ", ""))) best = { key, count };
  }
  return best && { pair: best.key.split(" "), count: best.count };
}

function applyMerge(entry, [left, right]) {
  const { symbols } = entry;
  if (!symbols.includes(left)) return entry;
  const merged = [];
  for (let i = 0; i < symbols.length; i++) {
    const match = symbols[i] === left && symbols[i + 1] === right;
    merged.push(match ? left + right : symbols[i]);
    if (match) i++;
  }
  return { symbols: merged, count: entry.count };
}

/** @returns {[byte: number, symbol: string][]} */
function byteSymbols() {
  const isPrintable = (byte) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const printable = bytes.filter(isPrintable);
  // The others borrow the characters from U+0100 on.
  const others = bytes.filter((byte) => !isPrintable(byte));
  return [
    ...printable.map((byte) => [byte, String.fromCharCode(byte)]),
    ...others.map((byte, index) => [byte, String.fromCharCode(0x100 + index)]),
  ];
}
