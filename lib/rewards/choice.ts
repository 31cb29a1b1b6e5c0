import type { Row } from "../data/datasets/index.js";
import { expectedAnswer, oneSpaced, studentAnswer } from "./answer.js";
import { named } from "./named.js";
import { halfWidth, lastBoxed } from "./plain.js";
import type { RewardFunction } from "./types.js";

/** Letter → text of the option. */
export type Choices = ReadonlyMap<string, string>;

/**
 * 1 when the answer picks the solution's option, else 0. An option is named by its letter ("B", "(b)", "B. cat", "the
 * answer is B", `\boxed{B}`, "答案：B") or by its full text, which is looked up in the row's `options` or `choices`,
 * else in the lines "A. …" of the question. Null where the solution names no option.
 */
export function choice(): RewardFunction {
  return named("choice", (completion, row, { question }) => {
    return choiceScore(studentAnswer(completion), expectedAnswer(row.solution), rowChoices(row, question));
  });
}

/** Whether both pick the same option; null where the solution picks none. */
export function choiceScore(answer: string, solution: string, choices: Choices): number | null {
  const wanted = extractChoice(solution, choices);
  if (wanted === undefined) return null;
  const picked = extractChoice(answer, choices);
  if (picked !== undefined) return Number(picked === wanted);
  // "B. a dog" tells its own option's text, also where the row does not list the options.
  const own = optionOf(oneSpaced(halfWidth(solution)))[0]?.[1];
  return Number(own !== undefined && comparable(own) === comparable(answer));
}

/** The letter that a text picks, in upper case. */
export function extractChoice(text: string, choices: Choices = new Map()): string | undefined {
  const plain = oneSpaced(halfWidth(lastBoxed(text) ?? text));
  const letter =
    bareLetter(plain) ?? byText(plain, choices) ?? announced(plain) ?? labelled(plain) ?? standing(plain, choices);
  return letter?.toUpperCase();
}

/** Whether a text is nothing but the name of an option: "B", "(B)", "B.", "B. cat", "B: cat". */
export function namesChoice(text: string): boolean {
  const plain = oneSpaced(halfWidth(lastBoxed(text) ?? text));
  return bareLetter(plain) !== undefined || labelled(plain) !== undefined;
}

/** "B", "b", "(B)", "B.", "**B**", "Option B", "选项B". */
function bareLetter(plain: string): string | undefined {
  if (plain.length > 20) return undefined;
  return /^(?:(?:option|choice|answer|选项|选择|选|答案) ?:? ?)?[\s*"'`([{<]{0,3}([a-z])[\s*"'`)\]}>.,:;!。、]{0,4}$/i.exec(
    plain,
  )?.[1];
}

/** "The answer is (B)", "choose B", "答案是B", "选 B": the last one counts, as people correct themselves. */
function announced(plain: string): string | undefined {
  // Every repetition is bounded, so that the time is linear in the text.
  const pattern =
    /(?:\b(?:answer|option|choice|choose|select|pick)s?|答案|选项|选择|应选|故选|选)(?: ?(?:is|would be|should be|应该是|应为|是|为|:)){0,2} ?(?:option |choice |选项)?[*"'`([]{0,3}([A-Z])(?![A-Za-z'’])/gi;
  let letter: string | undefined;
  for (const [, found] of plain.matchAll(pattern)) if (found !== undefined && isPick(found)) letter = found;
  return letter;
}

/** With the flag `i` "choose a hat" would pick A: only capitals are picks inside a sentence. */
function isPick(letter: string): boolean {
  return letter === letter.toUpperCase();
}

/** "B. cat", "(b) cat", "B: cat", "b) cat" at the start. */
function labelled(plain: string): string | undefined {
  return /^(?:[([]([A-Za-z])[)\]]|([A-Za-z])\)|([A-Z])[.:、])(?= |$|[^\s.\dA-Za-z])/
    .exec(plain)
    ?.slice(1)
    .find(Boolean);
}

/** The one option whose full text the answer is. */
function byText(plain: string, choices: Choices): string | undefined {
  const wanted = comparable(plain);
  const hits = [...choices].filter(([, text]) => wanted !== "" && comparable(text) === wanted);
  return hits.length === 1 ? hits[0]?.[0] : undefined;
}

/** A capital that stands by itself, where a single one does: "I think it is B here". "A cat" and "I" are words. */
function standing(plain: string, choices: Choices): string | undefined {
  const found = new Set<string>();
  const pattern = /(?<![\p{L}\p{N}'’.-])([A-Z])(?![A-Za-z\p{N}'’-])(?!\.[\p{L}\p{N}])/gu;
  for (const match of plain.matchAll(pattern)) {
    const letter = match[1] as string;
    const next = plain.slice(match.index + 1, match.index + 6);
    const isWord = (letter === "A" || letter === "I") && /^ (?!(?:or|and|is) )\p{Ll}/u.test(next);
    if (!isWord && (choices.size === 0 || choices.has(letter))) found.add(letter);
  }
  return found.size === 1 ? [...found][0] : undefined;
}

function comparable(text: string): string {
  return oneSpaced(halfWidth(text))
    .replace(/[.。!]{1,3}$/, "")
    .toLowerCase();
}

/** A row's options: its field `options` or `choices` (a list, or an object by letter), else lines of the question. */
export function rowChoices(row: Row, question: string): Choices {
  const field = row.raw?.options ?? row.raw?.choices;
  if (Array.isArray(field)) return new Map(field.map((text, index) => listed(String(text), index)));
  if (typeof field === "object" && field !== null) {
    return new Map(Object.entries(field).map(([letter, text]) => [letter.trim().toUpperCase(), String(text)]));
  }
  const lines = halfWidth(question).split(/\r?\n/);
  return new Map(lines.flatMap((line) => optionOf(line.trim())));
}

/** A list may hold its letters, "B. cat", or leave them to the order. */
function listed(text: string, index: number): [string, string] {
  return optionOf(text.trim())[0] ?? [String.fromCharCode(65 + index), text];
}

function optionOf(line: string): [string, string][] {
  const match = /^\(?([A-Z])(?:\)|[.:、])\s?(\S.*)$/s.exec(line);
  return match === null ? [] : [[match[1] as string, match[2] as string]];
}
