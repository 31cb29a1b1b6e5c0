export type { SiteInput } from "../../config/crawl-schema.js";
export { type CrawlOptions, type CrawlWorld, crawl } from "./crawl.js";
export type { CrawlProblem } from "./failure.js";
export type { CrawlPreview, CrawlProgress, CrawlReport, CrawlResult } from "./result.js";
