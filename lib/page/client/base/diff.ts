/** A piece of a text; `changed`: the other text does not have it there. */
export interface Piece {
  text: string;
  changed: boolean;
}

const TOKEN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}\p{N}_]+|\s+|./gsu;
/** Longer texts are compared at their ends only: the table of the comparison grows with the square. */
const MAX_CELLS = 400_000;

/** What two texts do not share, by words. */
export function differences(first: string, second: string): [Piece[], Piece[]] {
  const [a, b] = [first.match(TOKEN) ?? [], second.match(TOKEN) ?? []];
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const inner = [a.slice(start, a.length - end), b.slice(start, b.length - end)] as const;
  const common = inner[0].length * inner[1].length <= MAX_CELLS ? commonTokens(...inner) : [new Set(), new Set()];
  return [a, b].map((tokens, side) =>
    joined(
      tokens.map((text, index) => {
        const inside = index >= start && index < tokens.length - end;
        return { text, changed: inside && !(common[side] as Set<number>).has(index - start) };
      }),
    ),
  ) as [Piece[], Piece[]];
}

/** The places of a longest common subsequence in both. */
function commonTokens(a: readonly string[], b: readonly string[]): [Set<number>, Set<number>] {
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => lengths[i * width + j] as number;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const places: [Set<number>, Set<number>] = [new Set(), new Set()];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      places[0].add(i++);
      places[1].add(j++);
    } else if (at(i + 1, j) >= at(i, j + 1)) i += 1;
    else j += 1;
  }
  return places;
}

function joined(pieces: readonly Piece[]): Piece[] {
  const out: Piece[] = [];
  for (const { text, changed } of pieces) {
    const last = out.at(-1);
    if (last && last.changed === changed) last.text += text;
    else out.push({ text, changed });
  }
  return out;
}
