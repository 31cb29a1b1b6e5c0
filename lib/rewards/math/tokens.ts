export type Token =
  | { kind: "number"; text: string; value: number }
  | { kind: "name"; text: string }
  /** A LaTeX command without its backslash, or a function by name. */
  | { kind: "command"; text: string }
  | { kind: "symbol"; text: string };

const NEXT =
  /\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?!\d))?|\.\d+)|\\([a-zA-Z]+)|([a-zA-Z]+)|([-+*/^()[\]{}|,%!=<>;])|\\([{}]))/y;
const FUNCTIONS: ReadonlySet<string> = new Set(["sqrt", "sin", "cos", "tan", "ln", "log", "exp", "pi", "abs"]);

/**
 * The tokens of an expression, in one spelling already; undefined where it holds anything else. Letters that follow
 * each other are a product only where all of them are x, y or z: other words are words, not mathematics.
 */
export function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    NEXT.lastIndex = at;
    const match = NEXT.exec(text);
    if (match === null) return text.slice(at).trim() === "" ? tokens : undefined;
    at = NEXT.lastIndex;
    const [, number, command, letters, symbol, brace] = match;
    if (number !== undefined) tokens.push({ kind: "number", text: number, value: Number(number) });
    else if (command !== undefined) tokens.push({ kind: "command", text: command });
    else if (brace !== undefined) tokens.push({ kind: "symbol", text: `\\${brace}` });
    else if (symbol !== undefined) tokens.push({ kind: "symbol", text: symbol });
    else if (!pushLetters(letters as string, tokens)) return undefined;
  }
  return tokens;
}

function pushLetters(letters: string, tokens: Token[]): boolean {
  if (FUNCTIONS.has(letters.toLowerCase())) tokens.push({ kind: "command", text: letters.toLowerCase() });
  else if (letters.length === 1) tokens.push({ kind: "name", text: letters });
  else if (/^[xyz]{2,3}$/.test(letters)) for (const name of letters) tokens.push({ kind: "name", text: name });
  else return false;
  return true;
}
