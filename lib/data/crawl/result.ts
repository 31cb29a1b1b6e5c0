import type { CrawlProblem } from "./failure.js";

/** What came of a crawl, as `crawl-report.json` has it. The same pages give the same report, in any order of events. */
export interface CrawlReport {
  site: string;
  /** Rows of the CSV. */
  items: number;
  /** Items that were there already, and left out. */
  duplicates: number;
  /** `ends`: groups that ended, by an empty page, before the last of their pages; `skipped`: pages behind such an end. */
  pages: { fetched: number; failed: number; skipped: number; ends: number };
  /** `saved`: rows with a picture; `files`: different ones; `missing`: rows without. */
  pictures: { saved: number; files: number; missing: number };
  /** In the order of pages and of items on them. */
  problems: CrawlProblem[];
}

export interface CrawlResult extends CrawlReport {
  /** Paths; nothing is written by a dry run. */
  folder: string;
  csv: string;
  report: string;
  /** Requests that this run sent, robots.txt, redirects and further tries included. */
  requests: number;
  /** Of a dry run. */
  preview?: CrawlPreview;
}

export interface CrawlPreview {
  /** The page that was fetched. */
  url: string;
  /** Pages that are known before the crawl; links to next pages come on top. */
  pages: number;
  /** The least that these pages take, by the pauses between them. */
  seconds: number;
  /** Of the first page, by field. */
  items: Record<string, string>[];
  next?: string | undefined;
}

export interface CrawlProgress {
  /** A page was fetched; a picture of it; all of it is there, or it failed. */
  phase: "page" | "pictures" | "done";
  url: string;
  group: string | undefined;
  page: string | undefined;
  /** Pages that are behind, and how many there are; undefined where links lead from one to the next. */
  pagesDone: number;
  pagesTotal: number | undefined;
  /** Of this page. */
  picturesDone: number;
  picturesTotal: number;
  /** So far, in all. */
  items: number;
  problems: number;
}
