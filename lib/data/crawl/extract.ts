import type { Site } from "../../config/crawl-schema.js";
import { VlmR1Error } from "../../errors/index.js";
import { CrawlFailure, type CrawlProblem, problemOf } from "./failure.js";
import { readField } from "./field.js";
import { parsePage, readable } from "./html.js";
import { withTimeLimit } from "./time-limit.js";
import { resolveUrl } from "./urls.js";

/** What a page gave. */
export interface PageRecord {
  /** Values in the order of the site's fields. */
  items: string[][];
  /** Address of the next page, where the site has a rule for it and the page such a link. */
  next?: string | undefined;
  problems: CrawlProblem[];
  /** Where it lies, if it was asked for elsewhere. */
  redirected?: string | undefined;
}

export interface PageSource {
  body: Buffer;
  contentType: string;
  /** Where it was found, behind all redirects. */
  url: string;
}

/** Seconds: a page that is made to keep a parser busy also fills the memory, by some 150 MB each second. */
const LONGEST_READING = 10;

/** All items of a page, in at most the time of a request. Throws nothing but `VlmR1Error`. */
export function extractPage(source: PageSource, site: Site): PageRecord {
  const limit = Math.min(site.timeout, LONGEST_READING);
  const tooLong = () =>
    new CrawlFailure("ERR_DATA", `${source.url}: reading it takes longer than ${limit} s`, {
      hint: `timeout is the limit, up to ${LONGEST_READING} s.`,
    });
  return withTimeLimit(limit * 1000, () => readPage(source, site), tooLong);
}

function readPage(source: PageSource, site: Site): PageRecord {
  const { url } = source;
  const { $, base } = parsePage(source.body, source.contentType, url);
  return readable(url, () => {
    const lists = site.list === undefined ? $.root() : $(site.list);
    // Another page than expected: a login, a notice, a new layout. What comes later may be the right one.
    if (lists.length === 0) {
      throw new CrawlFailure("ERR_DATA", `${url}: nothing on it matches the list's selector ${site.list}`, {
        later: true,
      });
    }
    const record: PageRecord = { items: [], problems: [] };
    for (const [index, element] of lists.find(site.item).toArray().entries()) {
      try {
        record.items.push(readItem($(element), site, base));
      } catch (error) {
        if (!(error instanceof VlmR1Error)) throw error;
        record.problems.push({ ...problemOf("item", url, error), message: `item ${index + 1}: ${error.message}` });
      }
    }
    record.next = nextPage($, site, base);
    return record;
  });
}

function readItem(item: Parameters<typeof readField>[0], site: Site, base: string): string[] {
  const rules = Object.values(site.fields);
  const values = rules.map((rule) => readField(item, rule, base));
  if (values.every((value, index) => value === rules[index]?.default)) {
    throw new CrawlFailure("ERR_DATA", "none of its fields is there");
  }
  return values;
}

function nextPage($: ReturnType<typeof parsePage>["$"], { next }: Site, base: string): string | undefined {
  if (next === undefined) return undefined;
  const link = $(next.selector).first();
  const address = next.attribute.map((name) => link.attr(name)).find((value) => value !== undefined);
  return address === undefined ? undefined : resolveUrl(address, base);
}
