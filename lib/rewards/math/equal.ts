import { lastBoxed } from "../plain.js";
import { normalizeMath } from "./normalize.js";
import { type Environment, type Expression, parseExpression } from "./parse.js";
import { tokenize } from "./tokens.js";
import { splitUnit } from "./units.js";

/** Longer texts are prose; it also bounds the time. */
const MAX_LENGTH = 1000;
const POINTS = 5;
const TOLERANCE = 1e-9;
/** What rounding leaves of 0, as in sin(pi). */
const TINY = 1e-12;

interface Parsed {
  expression: Expression;
  /** Of a whole number its digits, which may be more than a double holds. */
  digits: bigint | undefined;
  unit: string | undefined;
  /** "x = 5": x. */
  name: string | undefined;
  percent: boolean;
}

/**
 * Whether two answers are the same number, expression, point, interval or set: "1/2", "0.5", "50%", `\frac{1}{2}`,
 * `\boxed{0.5}` and "x = 0.5" are one. Undefined where one of them is not mathematics.
 *
 * Numbers are compared with a relative tolerance of 1e-9, whole numbers exactly; expressions with variables at five
 * fixed points. Units must be equal where both have one. A percent sign may be left out on one side.
 */
export function mathEqual(answer: string, solution: string): boolean | undefined {
  const left = parseMath(answer);
  const right = left === undefined ? undefined : parseMath(solution);
  if (left === undefined || right === undefined) return undefined;
  if (left.digits !== undefined && right.digits !== undefined && left.digits !== right.digits) return false;
  if (left.unit !== undefined && right.unit !== undefined && left.unit !== right.unit) return false;
  if (left.name !== undefined && right.name !== undefined && left.name !== right.name) return false;
  if (sameExpression(left.expression, right.expression, 1)) return true;
  if (left.percent === right.percent) return false;
  return sameExpression(left.expression, right.expression, left.percent ? 100 : 0.01);
}

/** "10-12", "2024-01-05", "5/1/2024": ranges and dates, whose difference or quotient nobody means. */
const NO_ARITHMETIC = /^[\d.]+(?:(?: ?- ?[\d.]+)+|(?:\/[\d.]+){2,})$/;

function parseMath(text: string): Parsed | undefined {
  const source = (lastBoxed(text) ?? text).trim();
  if (source === "" || source.length > MAX_LENGTH) return undefined;
  const normal = normalizeMath(source).replace(/[.。]$/, "");
  if (NO_ARITHMETIC.test(normal)) return undefined;
  const [, name, body = normal] = /^([a-zA-Z])\s?=(.*)$/s.exec(normal) ?? [];
  const { value, unit } = splitUnit(body.trim(), source);
  const tokens = tokenize(value);
  const expression = tokens === undefined || tokens.length === 0 ? undefined : parseExpression(tokens);
  if (expression === undefined) return undefined;
  const digits = /^[+-]?\d+$/.test(value) ? BigInt(value.replace("+", "")) : undefined;
  return { expression, digits, unit, name, percent: value.endsWith("%") };
}

/** `factor`: what the left side is multiplied by. */
function sameExpression(left: Expression, right: Expression, factor: number): boolean {
  if (left.items.length !== right.items.length) return false;
  const bracketed = left.open !== "" && right.open !== "";
  if (bracketed && (left.open !== right.open || left.close !== right.close)) return false;
  const names = [...new Set([...left.variables, ...right.variables])].sort();
  const points = names.length === 0 ? [new Map()] : Array.from({ length: POINTS }, (_, point) => pointOf(names, point));
  const unordered = left.open === "\\{" || right.open === "\\{";
  return points.every((point) => {
    const values = left.items.map((item) => item(point) * factor);
    return sameValues(values, valuesAt(right, point), unordered);
  });
}

function valuesAt(expression: Expression, point: Environment): number[] {
  return expression.items.map((item) => item(point));
}

function sameValues(a: number[], b: number[], unordered: boolean): boolean {
  const [left, right] = unordered ? [a.toSorted(ascending), b.toSorted(ascending)] : [a, b];
  return left.every((value, index) => close(value, right[index] as number));
}

function ascending(a: number, b: number): number {
  return a - b;
}

function close(a: number, b: number): boolean {
  if (a === b) return true;
  if (!Number.isFinite(a) || !Number.isFinite(b)) return false;
  if (Number.isSafeInteger(a) && Number.isSafeInteger(b)) return false;
  const gap = Math.abs(a - b);
  return gap <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b)) || gap <= TINY;
}

/** Values without relations to each other, by the fractional parts of multiples of irrational numbers; in (0.5, 2.5). */
function pointOf(names: readonly string[], point: number): Environment {
  const part = (value: number) => value - Math.floor(value);
  return new Map(
    names.map((name, index) => [name, 0.5 + 2 * part((index + 1) * Math.SQRT2 + (point + 1) * (Math.sqrt(5) / 3))]),
  );
}
