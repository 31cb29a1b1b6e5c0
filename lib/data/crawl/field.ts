import type { CheerioAPI } from "cheerio";
import type { FieldRule } from "../../config/crawl-schema.js";
import { VlmR1Error } from "../../errors/index.js";
import { withTimeLimit } from "./time-limit.js";
import { largestCandidate, resolveUrl } from "./urls.js";

/** Elements of a page. */
export type Elements = ReturnType<ReturnType<CheerioAPI["root"]>["find"]>;

/** Characters of a value: items inside one another, each with the text of all below it, would fill the memory. */
const LONGEST_VALUE = 100_000;
/** Characters of a value that an expression sees. */
const LONGEST_SEARCHED = 10_000;
/** Milliseconds: an expression that backtracks without end is told from one that is only slow. */
const LONGEST_SEARCH = 1000;

/** The value of a field in an item; `rule.default` where there is none. */
export function readField(item: Elements, rule: FieldRule, base: string): string {
  const places = rule.selector === undefined ? item : item.find(rule.selector);
  for (const text of candidates(places.first(), rule)) {
    if (text.length > LONGEST_VALUE) {
      throw new VlmR1Error("ERR_DATA", `a field has ${text.length} characters, more than ${LONGEST_VALUE}`, {
        hint: "Its selector may match too much.",
      });
    }
    const value = refine(text, rule, base);
    if (value !== undefined && value !== "") return value;
  }
  return rule.default;
}

function candidates(place: Elements, rule: FieldRule): string[] {
  if (place.length === 0) return [];
  if (rule.attribute === undefined) return [place.text()];
  return rule.attribute.flatMap((name) => {
    const value = place.attr(name.toLowerCase()) ?? place.attr(name);
    if (value === undefined) return [];
    const chosen = /srcset$/i.test(name) ? largestCandidate(value) : value;
    return chosen === undefined ? [] : [chosen];
  });
}

function refine(text: string, rule: FieldRule, base: string): string | undefined {
  if (rule.skip?.some((part) => text.includes(part))) return undefined;
  const part = rule.split === undefined ? text : partOf(text, rule.split, rule.take);
  const found = part === undefined || rule.pattern === undefined ? part : search(rule.pattern, normalise(part));
  const clean = found === undefined ? undefined : rule.trim ? normalise(found) : withoutControls(found);
  return clean === undefined || rule.type === "text" ? clean : resolveUrl(clean, base);
}

function partOf(text: string, separators: readonly string[], take: number | "rest"): string | undefined {
  const cuts = cutPoints(text, separators);
  if (take === "rest") return cuts[0] === undefined ? undefined : text.slice(cuts[0].end);
  const parts = [
    ...cuts.map(({ start }, index) => text.slice(cuts[index - 1]?.end ?? 0, start)),
    text.slice(cuts.at(-1)?.end ?? 0),
  ];
  return parts.at(take);
}

function cutPoints(text: string, separators: readonly string[]): { start: number; end: number }[] {
  const cuts: { start: number; end: number }[] = [];
  for (let at = 0; at < text.length; ) {
    const separator = separators.find((candidate) => text.startsWith(candidate, at));
    if (separator !== undefined) cuts.push({ start: at, end: at + separator.length });
    at += separator?.length ?? 1;
  }
  return cuts;
}

/** Controls and marks that no reader sees, but for white space and the joiners, which emoji and some scripts need. */
const INVISIBLE = /(?![\s\u200c\u200d])[\p{Cc}\p{Cf}]/gu;

function withoutControls(text: string): string {
  return text.normalize("NFC").replace(INVISIBLE, "");
}

/** JavaScript's \s knows the no-break and the ideographic space too. */
function normalise(text: string): string {
  return withoutControls(text).replace(/\s+/g, " ").trim();
}

/** Throws `ERR_CONFIG` for what is no expression. */
export function compilePattern(pattern: string, where: string): RegExp {
  try {
    return new RegExp(pattern, "u");
  } catch (cause) {
    throw new VlmR1Error("ERR_CONFIG", `${where}: not a regular expression: ${(cause as Error).message}`, {
      hint: 'For example: pattern: "(?<value>[\\\\d.]+) kcal"; in double quotes YAML wants each backslash twice.',
      cause,
    });
  }
}

function search(pattern: string, text: string): string | undefined {
  const expression = new RegExp(pattern, "u");
  const match = withTimeLimit(
    LONGEST_SEARCH,
    () => expression.exec(text.slice(0, LONGEST_SEARCHED)),
    () =>
      new VlmR1Error("ERR_DATA", `the pattern ${pattern} takes longer than ${LONGEST_SEARCH} ms`, {
        hint: "Write it without repetitions of repetitions, such as (a+)+.",
      }),
  );
  if (match === null) return undefined;
  return match.groups?.value ?? match.slice(1).find((group) => group !== undefined) ?? match[0];
}
