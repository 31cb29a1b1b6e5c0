import type { CrawlOptions, SiteInput } from "../../lib/data/crawl/index.js";
import type { CrawlSite, Outcome, Route } from "./crawl-site.js";

/** One kind of trouble, and what a crawl makes of it. `/list` is a good page of two foods unless routes say otherwise. */
export interface Trouble {
  /** For people: the first column of the table in docs/crawl.md. */
  name: string;
  /** The second column. */
  happens: string;
  routes?: (url: string) => Record<string, Route>;
  rules?: (url: string) => Partial<SiteInput>;
  options?: Partial<CrawlOptions>;
  /** Names in the CSV; rice and milk unless given. */
  names?: string[];
  /** How many rows have a picture; all unless given. */
  pictures?: number;
  /** One per problem, in their order; none unless given. */
  problems?: RegExp[];
  /** Where the crawl ends by an error: its code and message. */
  error?: [string, RegExp];
  /** How often paths were asked for. */
  asked?: Record<string, number>;
  /** Whether `--resume` tries all, or none, of the problems again. */
  later?: boolean;
  check?: (outcome: Outcome, site: CrawlSite) => void;
}

export const RICE = "rice";
export const MILK = "milk";
