/**
 * Numbers as people write them in answers: "52", "1,234.5", "１，２３４", "-3.5", "−3", "+7", ".5", "12 345" with a
 * no-break or thin space. A sign counts only where a number can begin ("5-10" is 5 and 10, "B-12" is 12).
 */
const NUMBER = new RegExp(
  [
    String.raw`(?:(?<![\d\p{L}.])[+-])?`,
    String.raw`(?:(?<!\d)(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\d)\.\d+)`,
  ].join(""),
  "gu",
);

interface Found {
  start: number;
  end: number;
  value: number;
}

/** The numbers of a text in their order. */
export function parseNumbers(text: string): number[] {
  return find(text).map((found) => found.value);
}

/** The text without its numbers: digits, separators and signs that belong to a number go, all else stays. */
export function removeNumbers(text: string): string {
  let rest = "";
  let from = 0;
  for (const { start, end } of find(text)) {
    rest += text.slice(from, start);
    from = end;
  }
  return rest + text.slice(from);
}

export function hasDigit(text: string): boolean {
  return /\d/.test(narrow(text));
}

/** Whether both texts hold the same numbers in the same order. */
export function sameNumbers(a: string, b: string): boolean {
  const left = parseNumbers(a);
  const right = parseNumbers(b);
  return left.length === right.length && left.every((value, index) => value === right[index]);
}

function find(text: string): Found[] {
  const plain = narrow(text);
  const numbers: Found[] = [];
  for (const match of plain.matchAll(NUMBER)) {
    const start = match.index;
    numbers.push({ start, end: start + match[0].length, value: Number(match[0].replace(/[, ]/g, "")) });
  }
  return numbers;
}

/** Full-width and typographic forms as ASCII, one UTF-16 unit for one, so that positions hold for both texts. */
function narrow(text: string): string {
  return text.replace(/[０-９，．＋－−\u00a0\u2009\u202f ]/g, (unit) => {
    const code = unit.charCodeAt(0);
    if (code >= 0xff10 && code <= 0xff19) return String.fromCharCode(code - 0xff10 + 0x30);
    return NARROW[unit] ?? unit;
  });
}

/** An ordinary space parts numbers, the narrow and unbreakable ones may group digits; so the two must not mix. */
const NARROW: Readonly<Record<string, string>> = {
  "，": ",",
  "．": ".",
  "＋": "+",
  "－": "-",
  "−": "-",
  "\u00a0": " ",
  "\u2009": " ",
  "\u202f": " ",
  " ": "\t",
};
