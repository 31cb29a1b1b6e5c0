import { setMaxListeners } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { crawlSchema, type Site, type SiteInput } from "../../config/crawl-schema.js";
import { parseConfig } from "../../config/index.js";
import { abortReason, usageError, VlmR1Error } from "../../errors/index.js";
import { refusePrivate, systemResolve } from "./addresses.js";
import type { CrawlOptions } from "./crawl.js";
import { CrawlFailure } from "./failure.js";
import { Fetcher } from "./fetcher.js";
import { HttpClient } from "./http.js";
import { CSV_FILE, REPORT_FILE, writeCsv, writeReport } from "./output.js";
import { HostPace, systemClock } from "./pace.js";
import { Pictures } from "./pictures.js";
import { type PagePlace, startPages } from "./ranges.js";
import type { CrawlPreview, CrawlResult } from "./result.js";
import { CrawlRun, fetchPage } from "./run.js";
import { loadSite } from "./site.js";
import { CrawlState, STATE_FILE } from "./state.js";

const optionsSchema = crawlSchema.omit({ site: true });

/** What `crawl` says. */
export async function crawlSite(source: string | SiteInput, options: CrawlOptions): Promise<CrawlResult> {
  const { signal: outer, onProgress, onNotice, world, ...plain } = options;
  const config = parseConfig(optionsSchema, plain);
  const site = await loadSite(source, config);
  const { out } = config;
  const starts = startPages(site.start);
  if (!config.dryRun) checkFolder(out);
  const { signal, stop } = follow(outer);
  const tools = openTools(site, starts, config.allowPrivate, { ...options, signal });
  try {
    if (config.dryRun) return await preview(site, starts, out, tools.fetcher);
    const state = await CrawlState.open(out, site, config.resume);
    const pictures = site.images === false ? undefined : picturesOf(site, out, tools.fetcher, state);
    const run = new CrawlRun({
      ...{ site, starts, fetcher: tools.fetcher, state, pictures, signal },
      maxItems: config.maxItems ?? Number.POSITIVE_INFINITY,
      onProgress: onProgress ?? (() => undefined),
    });
    await runAndWrite(run, out, site).finally(() => state.close());
    return { ...run.report(), ...pathsOf(out), requests: tools.fetcher.requests };
  } finally {
    stop();
    await tools.http.close();
  }
}

/** A signal that every request under way listens to, and that also ends what is left of them when the crawl ends. */
function follow(outer: AbortSignal | undefined): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const abort = () => controller.abort(outer && abortReason(outer));
  if (outer?.aborted) abort();
  else outer?.addEventListener("abort", abort, { once: true });
  const stop = () => {
    outer?.removeEventListener("abort", abort);
    controller.abort();
  };
  return { signal: controller.signal, stop };
}

function pathsOf(folder: string) {
  return { folder, csv: join(folder, CSV_FILE), report: join(folder, REPORT_FILE) };
}

/** Files of other making are not written over. */
function checkFolder(folder: string): void {
  const csv = join(folder, CSV_FILE);
  if (existsSync(csv) && !existsSync(join(folder, STATE_FILE))) {
    throw usageError(`${csv} is there already, and is not of a crawl`, "Give another folder.");
  }
}

function openTools(
  site: Site,
  starts: readonly PagePlace[],
  allowPrivate: boolean,
  { signal, onNotice, world = {} }: CrawlOptions,
) {
  const { clock = systemClock, resolve = systemResolve } = world;
  const refuse = allowPrivate ? () => undefined : (world.refuse ?? refusePrivate);
  const milliseconds = (seconds: number) => seconds * 1000;
  const http = new HttpClient({
    timeout: milliseconds(site.timeout),
    stallTimeout: milliseconds(Math.min(site.stallTimeout, site.timeout)),
    ...{ resolve, refuse, signal },
  });
  const fetcher = new Fetcher(http, new HostPace(clock, site.concurrency, signal), clock, {
    retries: site.retries,
    maxRedirects: site.maxRedirects,
    firstWait: milliseconds(site.firstWait),
    longestWait: milliseconds(site.longestWait),
    longestAskedWait: milliseconds(site.longestAskedWait),
    headers: site.headers,
    origins: new Set(starts.map(({ url }) => new URL(url).origin)),
    onNotice: onNotice ?? (() => undefined),
    ...{ refuse, signal },
  });
  return { http, fetcher };
}

function picturesOf(site: Site, out: string, fetcher: Fetcher, state: CrawlState): Pictures | undefined {
  if (site.images === false) return undefined;
  return new Pictures(out, fetcher, state, site.images, (site.images.delay ?? site.delay) * 1000);
}

/** What there is so far is written however the crawl ends. */
async function runAndWrite(run: CrawlRun, out: string, site: Site): Promise<void> {
  try {
    await run.run();
  } catch (error) {
    await write(run, out, site).catch(() => undefined);
    throw error;
  }
  await write(run, out, site);
  if (run.items.length === 0) throw noItems(run, out);
}

async function write(run: CrawlRun, out: string, site: Site): Promise<void> {
  if (run.items.length > 0) await writeCsv(out, site, run.items);
  await writeReport(out, run.report());
}

function noItems(run: CrawlRun, out: string): VlmR1Error {
  const { problems, pages } = run.report();
  const first = problems[0]?.message ?? "no page";
  const code = problems.every((problem) => problem.code === problems[0]?.code) ? problems[0]?.code : undefined;
  return new VlmR1Error(code ?? "ERR_DATA", `not one item on ${pages.fetched + pages.failed} pages: ${first}`, {
    hint: `All problems are in ${join(out, REPORT_FILE)}; --dry-run shows what the first page gives.`,
  });
}

async function preview(site: Site, starts: readonly PagePlace[], out: string, fetcher: Fetcher): Promise<CrawlResult> {
  const { url } = starts[0] as PagePlace;
  const record = await fetchPage(url, site, fetcher).catch((error: unknown) => {
    if (error instanceof CrawlFailure)
      throw new VlmR1Error(error.code, error.message, { hint: error.hint, cause: error });
    throw error;
  });
  const names = Object.keys(site.fields);
  const items = record.items.map((values) =>
    Object.fromEntries(names.map((name, index) => [name, values[index] ?? ""])),
  );
  const shown: CrawlPreview = { url, pages: starts.length, seconds: (starts.length - 1) * site.delay, items };
  if (record.next !== undefined) shown.next = record.next;
  return {
    ...{
      site: site.name,
      items: 0,
      duplicates: 0,
      pages: { fetched: 1, failed: 0, skipped: 0, ends: 0 },
      problems: record.problems,
    },
    pictures: { saved: 0, files: 0, missing: 0 },
    ...pathsOf(out),
    requests: fetcher.requests,
    preview: shown,
  };
}
