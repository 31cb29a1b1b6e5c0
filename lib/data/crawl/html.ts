import { type CheerioAPI, loadBuffer } from "cheerio";
import { VlmR1Error } from "../../errors/index.js";
import { CrawlFailure } from "./failure.js";
import { resolveUrl } from "./urls.js";

const HTML_TYPES = new Set(["text/html", "application/xhtml+xml"]);

/** Of a page, comments and stray signs included: each tag takes some kilobytes until the page is read. */
const MOST_TAGS = 200_000;

/** Throws where a Content-Type says that this is no page. Servers that say nothing are believed. */
export function checkPageType(contentType: string, url: string): void {
  const type = contentType.split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "" || HTML_TYPES.has(type)) return;
  throw new CrawlFailure("ERR_DATA", `${url}: expected a page (text/html), got ${type}`);
}

export interface Page {
  $: CheerioAPI;
  /** What its addresses begin from: <base href>, else its own address. */
  base: string;
}

/**
 * Parses a page in the encoding that its byte order mark, its Content-Type or its meta tag says, in this order; UTF-8
 * where none does. Whatever the bytes are, nothing but `VlmR1Error` is thrown.
 */
export function parsePage(body: Buffer, contentType: string, url: string): Page {
  checkTags(body, url);
  const label = /charset\s*=\s*["']?([\w:.-]+)/i.exec(contentType)?.[1];
  const encoding = { defaultEncoding: "utf-8", ...(label === undefined ? {} : { transportLayerEncodingLabel: label }) };
  return readable(url, () => {
    const $ = loadBuffer(body, { encoding });
    const base = $("base[href]").first().attr("href");
    return { $, base: (base === undefined ? undefined : resolveUrl(base, url)) ?? url };
  });
}

function checkTags(body: Buffer, url: string): void {
  let tags = 0;
  for (let at = body.indexOf("<"); at >= 0; at = body.indexOf("<", at + 1)) tags += 1;
  if (tags > MOST_TAGS) {
    throw new CrawlFailure("ERR_DATA", `${url}: the page has ${tags} tags, more than ${MOST_TAGS}`);
  }
}

/** Selectors and parsers throw whatever they like, and deep nesting overflows the stack. */
export function readable<T>(url: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof VlmR1Error) throw error;
    const message = error instanceof RangeError ? "its tags are nested too deeply" : (error as Error).message;
    throw new CrawlFailure("ERR_DATA", `${url}: the page cannot be read: ${message}`, { cause: error });
  }
}
