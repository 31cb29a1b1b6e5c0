import type { StartRule } from "../../config/crawl-schema.js";
import { VlmR1Error } from "../../errors/index.js";

/** Where a page stands in the site, for progress and for messages. */
export interface PagePlace {
  /** Absolute. */
  url: string;
  /** Value of `{group}`, where there is one. */
  group: string | undefined;
  /** Value of `{page}`; with a next-page rule the number of the page behind its start. */
  page: string | undefined;
  /** Start pages that differ in `{page}` alone are of one series. */
  series: string;
}

/** More would be a slip of the hand, such as 1-1000000. */
const MOST_PAGES = 100_000;

/** Every start page, the last range counting fastest: group 1 with all its pages, then group 2. */
export function startPages(starts: readonly StartRule[]): PagePlace[] {
  const pages: PagePlace[] = [];
  for (const [index, start] of starts.entries()) {
    const where = `start[${index}]`;
    const groups = valuesOf(start.url, "group", start.group, where);
    const numbers = valuesOf(start.url, "page", start.page, where);
    if (pages.length + groups.length * numbers.length > MOST_PAGES) {
      throw new VlmR1Error("ERR_CONFIG", `${where}: more than ${MOST_PAGES} pages`, {
        hint: "Make the ranges of group and page smaller.",
      });
    }
    for (const group of groups) {
      for (const page of numbers) {
        pages.push({ url: fill(start.url, { group, page }, where), group, page, series: `${index}/${group}` });
      }
    }
  }
  return pages;
}

function valuesOf(
  url: string,
  name: "group" | "page",
  range: StartRule["group"],
  where: string,
): (string | undefined)[] {
  const used = url.includes(`{${name}}`);
  if (range === undefined && !used) return [undefined];
  if (range === undefined || !used) {
    const text = used
      ? `${where}: the url has {${name}}, but there is no range "${name}"`
      : `${where}: there is a range "${name}", but the url has no {${name}}`;
    throw new VlmR1Error("ERR_CONFIG", `${text}: ${url}`, {
      hint: `For example: url: https://host/list?${name}={${name}} with ${name}: 1-10`,
    });
  }
  return expandRange(range, `${where}.${name}`);
}

/** The values of `1-9`, `1,3,5-7`, `[1, soups]`, `4`. */
export function expandRange(range: NonNullable<StartRule["group"]>, where: string): string[] {
  const pieces = (Array.isArray(range) ? range : String(range).split(",")).map((piece) => String(piece).trim());
  return pieces.flatMap((piece) => {
    const [, from, to] = /^(\d{1,9})\s*-\s*(\d{1,9})$/.exec(piece) ?? [];
    if (piece === "") throw new VlmR1Error("ERR_CONFIG", `${where}: an empty piece in ${JSON.stringify(range)}`);
    if (from === undefined || to === undefined) return [piece];
    const count = Number(to) - Number(from) + 1;
    if (count < 1) throw new VlmR1Error("ERR_CONFIG", `${where}: ${piece} runs backwards`);
    if (count > MOST_PAGES) throw new VlmR1Error("ERR_CONFIG", `${where}: ${piece} has more than ${MOST_PAGES} values`);
    // 01-10 keeps its zeros.
    return Array.from({ length: count }, (_, index) => String(Number(from) + index).padStart(leadingWidth(from), "0"));
  });
}

function leadingWidth(text: string): number {
  return text.startsWith("0") ? text.length : 0;
}

function fill(url: string, values: { group: string | undefined; page: string | undefined }, where: string): string {
  const filled = url.replace(/\{(group|page)\}/g, (_, name: "group" | "page") =>
    encodeURIComponent(values[name] as string),
  );
  const unknown = /\{\w+\}/.exec(filled)?.[0];
  if (unknown !== undefined) {
    throw new VlmR1Error("ERR_CONFIG", `${where}: unknown placeholder ${unknown} in ${url}`, {
      hint: "There are {group} and {page}.",
    });
  }
  if (/^https?:\/\//i.test(filled) && URL.canParse(filled)) return new URL(filled).href;
  throw new VlmR1Error("ERR_CONFIG", `${where}.url: not an address of the web: ${filled}`, {
    hint: "It begins with http:// or https://, for example https://host/list?page={page}",
  });
}
