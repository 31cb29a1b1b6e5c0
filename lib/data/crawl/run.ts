import type { Site } from "../../config/crawl-schema.js";
import { parseSize } from "../../config/index.js";
import { throwIfAborted, VlmR1Error } from "../../errors/index.js";
import { mapBounded } from "../map-bounded.js";
import { extractPage, type PageRecord } from "./extract.js";
import { CrawlFailure, type CrawlProblem, problemOf } from "./failure.js";
import type { Fetcher } from "./fetcher.js";
import { checkPageType } from "./html.js";
import type { CrawledItem } from "./output.js";
import type { Pictures } from "./pictures.js";
import type { PagePlace } from "./ranges.js";
import type { CrawlProgress, CrawlReport } from "./result.js";
import type { CrawlState, PageOutcome, PictureOutcome } from "./state.js";

export interface RunParts {
  site: Site;
  starts: readonly PagePlace[];
  fetcher: Fetcher;
  state: CrawlState;
  /** Undefined where none are wanted. */
  pictures: Pictures | undefined;
  maxItems: number;
  signal: AbortSignal | undefined;
  onProgress: (progress: CrawlProgress) => void;
}

const PAGE_ACCEPT = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.5";

/** Fetches and reads one page. Throws `CrawlFailure`. */
export async function fetchPage(url: string, site: Site, fetcher: Fetcher): Promise<PageRecord> {
  const want = { limit: parseSize(site.maxPageBytes), accept: PAGE_ACCEPT, check: checkPageType };
  const answer = await fetcher.fetch(url, site.delay * 1000, want);
  const contentType = answer.headers["content-type"] ?? "";
  const record = extractPage({ body: answer.body, contentType, url: answer.url }, site);
  return answer.url === url ? record : { ...record, redirected: answer.url };
}

/**
 * One page after another, in the order of the site's description, with the pictures of a page side by side: what comes
 * out does not depend on which download ends first. A page that the state holds is taken from there, so a crawl that
 * goes on takes the same way as one that was never cut.
 */
export class CrawlRun {
  readonly items: CrawledItem[] = [];
  private readonly problems: CrawlProblem[] = [];
  private readonly seen = new Set<string>();
  private readonly visited = new Set<string>();
  private readonly files = new Set<string>();
  /** Series of pages on which there were items. */
  private readonly begun = new Set<string>();
  private readonly pageCounts = { fetched: 0, failed: 0, skipped: 0, ends: 0 };
  private duplicates = 0;
  private failedInRow = 0;
  private readonly pagesTotal: number | undefined;

  constructor(private readonly parts: RunParts) {
    this.pagesTotal = parts.site.next === undefined ? parts.starts.length : undefined;
  }

  async run(): Promise<void> {
    const { starts, site } = this.parts;
    for (let index = 0; index < starts.length && !this.isFull; index++) {
      const rest = site.stopAtEmpty ? restOfSeries(starts, index) : 0;
      if (!(await this.chain(starts[index] as PagePlace, rest))) continue;
      this.pageCounts.skipped += rest;
      index += rest;
    }
  }

  report(): CrawlReport {
    const { site } = this.parts;
    const saved = this.items.filter(({ imagePath }) => imagePath !== "").length;
    return {
      site: site.name,
      items: this.items.length,
      duplicates: this.duplicates,
      pages: this.pageCounts,
      pictures: { saved, files: this.files.size, missing: site.images === false ? 0 : this.items.length - saved },
      problems: this.problems,
    };
  }

  private get isFull(): boolean {
    return this.items.length >= this.parts.maxItems;
  }

  /**
   * A start page, and what follows it by links to next pages. Returns whether there is nothing on the start page, by
   * which the `rest` of its group is taken to be behind the end.
   */
  private async chain(start: PagePlace, rest: number): Promise<boolean> {
    const most = this.parts.site.next?.maxPages ?? 1;
    let place = start;
    for (let number = 1; !this.visited.has(place.url); number++) {
      this.visited.add(place.url);
      const outcome = await this.page(place, number === 1 ? rest : 0);
      const next = "failed" in outcome ? undefined : outcome.next;
      if (next === undefined || this.isFull) return number === 1 && isEmpty(outcome);
      if (number >= most || this.visited.has(next)) {
        const why = number >= most ? `next.max_pages is ${most}` : `its next page was there before: ${next}`;
        this.note(place.url, `not followed further: ${why}`);
        return false;
      }
      place = { ...start, url: next, page: String(number + 1) };
    }
    return false;
  }

  private note(url: string, what: string): void {
    this.problems.push({ kind: "page", url, code: "ERR_DATA", message: `${url}: ${what}`, tries: 1, later: false });
  }

  private async page(place: PagePlace, rest: number): Promise<PageOutcome> {
    throwIfAborted(this.parts.signal);
    const outcome = await this.outcomeOf(place.url);
    if ("failed" in outcome) {
      this.pageCounts.failed += 1;
      const { message } = outcome.failed;
      this.problems.push({ ...outcome.failed, message: message + (isEmpty(outcome) ? leftOut(rest) : "") });
      this.tell("done", place, 0, 0);
      return outcome;
    }
    this.pageCounts.fetched += 1;
    this.problems.push(...outcome.problems);
    if (isEmpty(outcome)) this.tellEmpty(place, outcome, rest);
    if (outcome.items.length > 0) this.begun.add(place.series);
    await this.addItems(place, this.newItems(outcome.items));
    return outcome;
  }

  /** Behind pages with items this is how a group of numbered pages ends; elsewhere it may be another page. */
  private tellEmpty({ url, series }: PagePlace, { redirected }: PageRecord, rest: number): void {
    const { stopAtEmpty, next, item } = this.parts.site;
    if (stopAtEmpty && next === undefined && redirected === undefined && this.begun.has(series)) {
      this.pageCounts.ends += 1;
      return;
    }
    const where = redirected === undefined ? "" : ` (it redirects to ${redirected})`;
    this.note(url, `there is no item on it${where}: ${item}${leftOut(rest)}`);
  }

  private async outcomeOf(url: string): Promise<PageOutcome> {
    const known = this.parts.state.pages.get(url);
    if (known !== undefined && !("failed" in known && known.failed.later)) return known;
    const { site, fetcher, state } = this.parts;
    const outcome = await fetchPage(url, site, fetcher).then(
      (record): PageOutcome => {
        this.failedInRow = 0;
        return record;
      },
      (error: unknown) => this.failure(url, error),
    );
    await state.addPage(url, outcome);
    if (site.maxFailures > 0 && this.failedInRow >= site.maxFailures && "failed" in outcome) {
      throw this.giveUp(outcome.failed);
    }
    return outcome;
  }

  private failure(url: string, error: unknown): PageOutcome {
    if (!(error instanceof CrawlFailure)) throw error;
    // Where a site itself may not be asked there is nothing to go on with.
    if (error.code === "ERR_PRIVATE_ADDRESS" && error.host === new URL(url).hostname.replace(/^\[|\]$/g, "")) {
      throw new VlmR1Error(error.code, error.message, { hint: error.hint, cause: error });
    }
    // A page that is not there, or is another one, says nothing about whether the site answers.
    if (error.code === "ERR_NETWORK" || error.code === "ERR_ACCESS") this.failedInRow += 1;
    return { failed: problemOf("page", url, error) };
  }

  private giveUp({ message, code }: CrawlProblem): VlmR1Error {
    return new VlmR1Error(code, `${this.failedInRow} pages in a row could not be fetched, the last one: ${message}`, {
      hint: "Look at the site in a browser; then --resume goes on. max_failures of its description is the limit.",
    });
  }

  private newItems(items: readonly string[][]): string[][] {
    const { site, maxItems } = this.parts;
    const names = Object.keys(site.fields);
    const kept: string[][] = [];
    for (const values of items) {
      if (this.items.length + kept.length >= maxItems) break;
      const key = JSON.stringify(site.unique?.map((name) => values[names.indexOf(name)]) ?? values);
      if (this.seen.has(key)) this.duplicates += 1;
      else kept.push(values);
      this.seen.add(key);
    }
    return kept;
  }

  private async addItems(place: PagePlace, items: readonly string[][]): Promise<void> {
    const { site, signal } = this.parts;
    const addresses = items.map((values) => this.pictureOf(values));
    const total = addresses.filter((url) => url !== undefined).length;
    let done = 0;
    this.tell("page", place, done, total);
    const outcomes = await mapBounded(
      addresses,
      async (url) => {
        if (url === undefined) return undefined;
        const outcome = await this.parts.pictures?.get(url);
        done += 1;
        this.tell("pictures", place, done, total);
        return outcome;
      },
      { width: site.concurrency, signal },
    );
    for (const [index, values] of items.entries()) {
      const outcome = outcomes[index];
      const file = outcome !== undefined && "file" in outcome ? outcome.file : undefined;
      if (file !== undefined) this.files.add(file);
      else if (site.images !== false) this.problems.push(withoutPicture(place.url, values, outcome));
      this.items.push({ values, imagePath: file ?? "" });
    }
    this.tell("done", place, done, total);
  }

  private pictureOf(values: readonly string[]): string | undefined {
    const { site } = this.parts;
    if (site.images === false) return undefined;
    const value = values[Object.keys(site.fields).indexOf(site.images.field)] as string;
    return value === site.fields[site.images.field]?.default ? undefined : value;
  }

  private tell(
    phase: CrawlProgress["phase"],
    { url, group, page }: PagePlace,
    picturesDone: number,
    picturesTotal: number,
  ): void {
    this.parts.onProgress({
      ...{ phase, url, group, page, picturesDone, picturesTotal },
      pagesDone: this.pageCounts.fetched + this.pageCounts.failed + this.pageCounts.skipped,
      pagesTotal: this.pagesTotal,
      items: this.items.length,
      problems: this.problems.length,
    });
  }
}

/** Nothing was there: no item, or no page at all. An item that cannot be read is one. */
function isEmpty(outcome: PageOutcome): boolean {
  if ("failed" in outcome) return outcome.failed.code === "ERR_NOT_FOUND";
  return outcome.items.length + outcome.problems.length === 0;
}

function leftOut(rest: number): string {
  return rest === 0 ? "" : `; taken for the end of its group, ${rest} more pages are left out (stop_at_empty)`;
}

/** Start pages of the same series that follow the one at `index`. */
function restOfSeries(starts: readonly PagePlace[], index: number): number {
  let next = index + 1;
  while (next < starts.length && starts[next]?.series === starts[index]?.series) next += 1;
  return next - index - 1;
}

function withoutPicture(page: string, values: readonly string[], outcome: PictureOutcome | undefined): CrawlProblem {
  if (outcome !== undefined && "failed" in outcome) return { ...outcome.failed, page };
  const message = `${page}: no picture's address for ${JSON.stringify(values[0])}`;
  return { kind: "item", url: page, page, code: "ERR_DATA", message, tries: 1, later: false };
}
