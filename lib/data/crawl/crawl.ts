import type { SiteInput } from "../../config/crawl-schema.js";
import type { Refuse, Resolve } from "./addresses.js";
import type { Clock } from "./pace.js";
import type { CrawlProgress, CrawlResult } from "./result.js";
import type { SiteOverrides } from "./site.js";

export interface CrawlOptions extends SiteOverrides {
  /** Folder for the CSV, `images/`, the state and the report. */
  out: string;
  maxItems?: number | undefined;
  /** Fetch the first page alone and write nothing. */
  dryRun?: boolean | undefined;
  /** Go on with the crawl in the folder. */
  resume?: boolean | undefined;
  /** Also from private, local and reserved addresses. */
  allowPrivate?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: CrawlProgress) => void) | undefined;
  /** Something that stops nothing, such as a further try. */
  onNotice?: ((message: string) => void) | undefined;
  /** How time passes and how hosts are found; for tests. */
  world?: Partial<CrawlWorld> | undefined;
}

export interface CrawlWorld {
  clock: Clock;
  resolve: Resolve;
  refuse: Refuse;
}

/**
 * Crawls a site that is given by its name, by its YAML file or by its description: items into a CSV, pictures beside
 * it. What fails for one page or picture is in `problems`. Throws `ERR_CONFIG`, `ERR_USAGE`, `ERR_PRIVATE_ADDRESS`,
 * `ERR_IO`, `ERR_NETWORK` where the site does not answer at all, `ERR_DATA` where there is not one item, and the
 * signal's reason; what was fetched until then is in the folder, and `resume` goes on from there.
 */
export async function crawl(source: string | SiteInput, options: CrawlOptions): Promise<CrawlResult> {
  // The parsers and the HTTP client take longer to load than all the rest of the library.
  const { crawlSite } = await import("./crawl-site.js");
  return crawlSite(source, options);
}
