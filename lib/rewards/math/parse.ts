import type { Token } from "./tokens.js";

/** Values of the variables. */
export type Environment = ReadonlyMap<string, number>;
type Evaluate = (environment: Environment) => number;

/** One value, or several with their brackets: a point, an interval, a set. */
export interface Expression {
  open: string;
  close: string;
  items: Evaluate[];
  variables: ReadonlySet<string>;
}

const MAX_DEPTH = 40;
const FUNCTIONS: Readonly<Record<string, (value: number) => number>> = {
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  ln: Math.log,
  log: Math.log10,
  exp: Math.exp,
  abs: Math.abs,
};
const CONSTANTS: Readonly<Record<string, number>> = { pi: Math.PI, infty: Number.POSITIVE_INFINITY };

class NoExpression extends Error {}

/** Reads plain and LaTeX arithmetic; undefined for what is none. */
export function parseExpression(tokens: readonly Token[]): Expression | undefined {
  try {
    return new Parser(tokens).whole();
  } catch (error) {
    if (error instanceof NoExpression) return undefined;
    throw error;
  }
}

/** Recursive descent; sums of products of powers. */
class Parser {
  private tokens: readonly Token[];
  private at = 0;
  private depth = 0;
  private readonly variables = new Set<string>();

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  whole(): Expression {
    const { variables } = this;
    const list = this.bracketedList();
    if (list !== undefined) return { ...list, variables };
    const items = this.items();
    if (this.at < this.tokens.length) throw new NoExpression();
    return { open: "", close: "", items, variables };
  }

  /** "(1, 2)", "[0, 1)", "\{1, 2\}" as a whole; one value in brackets is a value. */
  private bracketedList(): Omit<Expression, "variables"> | undefined {
    const open = this.symbol();
    if (open === undefined || !["(", "[", "\\{"].includes(open)) return undefined;
    this.at += 1;
    try {
      const items = this.items();
      const close = this.symbol();
      const ends = close !== undefined && [")", "]", "\\}"].includes(close) && this.at === this.tokens.length - 1;
      if (ends && (items.length > 1 || open === "\\{")) return { open, close, items };
    } catch (error) {
      if (!(error instanceof NoExpression)) throw error;
    }
    this.at = 0;
    this.depth = 0;
    return undefined;
  }

  private items(): Evaluate[] {
    const items = [this.sum()];
    while (this.accept(",") || this.accept(";")) items.push(this.sum());
    return items;
  }

  private sum(): Evaluate {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw new NoExpression();
    let left = this.product();
    for (;;) {
      const before = left;
      const minus = this.symbol() === "-";
      if (!minus && this.symbol() !== "+") break;
      this.at += 1;
      const right = this.product();
      left = minus ? (env) => before(env) - right(env) : (env) => before(env) + right(env);
    }
    this.depth -= 1;
    return left;
  }

  private product(): Evaluate {
    let left = this.signed();
    for (;;) {
      const before = left;
      if (this.accept("*") || this.acceptCommand("cdot") || this.acceptCommand("times")) {
        const right = this.signed();
        left = (env) => before(env) * right(env);
      } else if (this.accept("/") || this.acceptCommand("div")) {
        const right = this.signed();
        left = (env) => divide(before(env), right(env));
      } else if (this.startsFactor()) {
        const right = this.power();
        left = (env) => before(env) * right(env);
      } else return left;
    }
  }

  /** What may follow a factor without a sign: anything that begins a value but a number ("2 3" is two answers). */
  private startsFactor(): boolean {
    const token = this.tokens[this.at];
    if (token === undefined || token.kind === "number") return false;
    if (token.kind === "name") return true;
    if (token.kind === "command") return token.text !== "cdot" && token.text !== "times" && token.text !== "div";
    return token.text === "(" || token.text === "{";
  }

  private signed(): Evaluate {
    let negative = false;
    for (; this.symbol() === "-" || this.symbol() === "+"; this.at += 1)
      if (this.symbol() === "-") negative = !negative;
    const value = this.power();
    return negative ? (env) => -value(env) : value;
  }

  private power(): Evaluate {
    const base = this.postfix();
    if (!this.accept("^")) return base;
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw new NoExpression();
    const exponent = this.signed();
    this.depth -= 1;
    return (env) => base(env) ** exponent(env);
  }

  private postfix(): Evaluate {
    const value = this.atom();
    return this.accept("%") ? (env) => value(env) / 100 : value;
  }

  private atom(): Evaluate {
    const token = this.tokens[this.at];
    this.at += 1;
    if (token === undefined) throw new NoExpression();
    if (token.kind === "number") return this.number(token.text, token.value);
    if (token.kind === "name") return this.name(token.text);
    if (token.kind === "command") return this.command(token.text);
    const close = { "(": ")", "[": "]", "{": "}", "|": "|" }[token.text];
    if (close === undefined) throw new NoExpression();
    const inner = this.sum();
    if (!this.accept(close)) throw new NoExpression();
    return token.text === "|" ? (env) => Math.abs(inner(env)) : inner;
  }

  /** A whole number and a fraction beside it are a mixed number: "1 1/2", "1\frac{1}{2}". */
  private number(text: string, value: number): Evaluate {
    if (!/^\d+$/.test(text)) return () => value;
    const [top, slash, bottom] = this.tokens.slice(this.at, this.at + 3);
    if (isWhole(top) && slash?.text === "/" && isWhole(bottom)) {
      this.at += 3;
      return () => value + divide(top.value, bottom.value);
    }
    if (top?.kind === "command" && /^[dtc]?frac$/.test(top.text)) {
      this.at += 1;
      const fraction = this.command(top.text);
      return (env) => value + fraction(env);
    }
    return () => value;
  }

  private name(text: string): Evaluate {
    if (text === "e") return () => Math.E;
    this.variables.add(text);
    return (env) => env.get(text) ?? Number.NaN;
  }

  private command(text: string): Evaluate {
    const constant = CONSTANTS[text];
    if (constant !== undefined) return () => constant;
    if (/^[dtc]?frac$/.test(text)) {
      const top = this.group();
      const bottom = this.group();
      return (env) => divide(top(env), bottom(env));
    }
    if (text === "sqrt") return this.root();
    const compute = FUNCTIONS[text];
    if (compute === undefined) throw new NoExpression();
    return this.call(compute);
  }

  /** "sin(x)^2" and "\sin^2 x" square the sine, "sin x^2" the x. */
  private call(compute: (value: number) => number): Evaluate {
    const exponent = this.accept("^") ? this.atom() : undefined;
    const argument = this.symbol() === "(" ? this.atom() : this.power();
    if (exponent === undefined) return (env) => compute(argument(env));
    return (env) => compute(argument(env)) ** exponent(env);
  }

  private root(): Evaluate {
    let degree: Evaluate = () => 2;
    if (this.accept("[")) {
      degree = this.sum();
      if (!this.accept("]")) throw new NoExpression();
    }
    const value = this.group();
    return (env) => {
      const [n, x] = [degree(env), value(env)];
      return n === 2 ? Math.sqrt(x) : n === 3 ? Math.cbrt(x) : x ** (1 / n);
    };
  }

  /** LaTeX's argument: braces, or one digit of a number ("\frac12"). */
  private group(): Evaluate {
    const token = this.tokens[this.at];
    if (token?.kind === "number" && token.text.length > 1 && /^\d+$/.test(token.text) && this.isFraction()) {
      const rest = token.text.slice(1);
      const digit = Number(token.text[0]);
      const changed = [...this.tokens];
      changed[this.at] = { kind: "number", text: rest, value: Number(rest) };
      this.tokens = changed;
      return () => digit;
    }
    return this.atom();
  }

  private isFraction(): boolean {
    const before = this.tokens[this.at - 1];
    return before?.kind === "command" && /^[dtc]?frac$/.test(before.text);
  }

  private symbol(): string | undefined {
    const token = this.tokens[this.at];
    return token?.kind === "symbol" ? token.text : undefined;
  }

  private accept(symbol: string): boolean {
    if (this.symbol() !== symbol) return false;
    this.at += 1;
    return true;
  }

  private acceptCommand(text: string): boolean {
    const token = this.tokens[this.at];
    if (token?.kind !== "command" || token.text !== text) return false;
    this.at += 1;
    return true;
  }
}

/** By 0 there is no value: two of them are not equal. */
function divide(a: number, b: number): number {
  return b === 0 ? Number.NaN : a / b;
}

function isWhole(token: Token | undefined): token is Token & { kind: "number" } {
  return token?.kind === "number" && /^\d+$/.test(token.text);
}
