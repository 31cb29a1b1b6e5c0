import type { Command } from "commander";
import { type CrawlConfig, crawlSchema } from "../config/crawl-schema.js";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { toKebab } from "../config/names.js";
import { type CrawlPreview, type CrawlProgress, type CrawlResult, crawl } from "../data/crawl/index.js";
import { isAbort } from "../errors/index.js";
import { formatDuration } from "../report/format.js";
import type { CliContext } from "./context.js";
import { printJson, StatusLine, shellQuote, warn } from "./output.js";

/** Problems and items that are shown; the report has all. */
const SHOWN = 5;

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("crawl")
    .description("fetch a site's items into a CSV, and their pictures beside it")
    .option("--json", "print the result as JSON");
  addConfigFlags(command, crawlSchema);
  command.addHelpText(
    "after",
    "\nExamples:\n  vlmr1-native crawl --out food --max-items 100\n  vlmr1-native crawl --site ./site.yaml --out mine --dry-run",
  );
  command.action(async (options: { json?: boolean }) => {
    const config = await readCommandConfig(command, crawlSchema);
    const result = await runCrawl(config, context);
    if (options.json === true) printJson(context, result);
    else if (result.preview !== undefined) printPreview(result.preview, result, context);
    else printResult(result, config, context);
  });
}

async function runCrawl({ site, ...config }: CrawlConfig, context: CliContext): Promise<CrawlResult> {
  const status = new StatusLine(context);
  const progress = new ProgressText(context, status);
  try {
    return await crawl(site, {
      ...config,
      signal: context.signal,
      onProgress: (event) => progress.show(event),
      onNotice: (message) => {
        status.clear();
        warn(context, message);
      },
    });
  } catch (error) {
    status.clear();
    if (isAbort(error, context.signal) && !config.dryRun) sayHowToGoOn({ site, ...config }, context);
    throw error;
  } finally {
    status.clear();
  }
}

/** A line that changes on a terminal; elsewhere a line per page, when all of it is there. */
class ProgressText {
  constructor(
    private readonly context: CliContext,
    private readonly status: StatusLine,
  ) {}

  show(progress: CrawlProgress): void {
    const { picturesDone, picturesTotal } = progress;
    const pictures = picturesTotal === 0 ? "" : `, pictures ${picturesDone}/${picturesTotal}`;
    const line = `${placeOf(progress)}${pictures}; ${progress.items} items, ${progress.problems} problems`;
    if (this.context.stderr.isTTY === true) this.status.show(line);
    else if (progress.phase === "done") this.context.stderr.write(`${line}\n`);
  }
}

function placeOf({ group, page, pagesDone, pagesTotal, url }: CrawlProgress): string {
  const names = [...(group === undefined ? [] : [`group ${group}`]), ...(page === undefined ? [] : [`page ${page}`])];
  const count = `${pagesDone}${pagesTotal === undefined ? "" : `/${pagesTotal}`}`;
  return `${names.length === 0 ? url : names.join(", ")} (${count} pages)`;
}

function sayHowToGoOn(config: CrawlConfig, context: CliContext): void {
  const { site, out, startUrl, maxItems, delay, concurrency, timeout, retries } = config;
  const given = Object.entries({ site, out, startUrl, maxItems, delay, concurrency, timeout, retries });
  const flags = given.flatMap(([name, value]) =>
    value === undefined ? [] : [`--${toKebab(name)} ${shellQuote(String(value))}`],
  );
  if (config.allowPrivate) flags.push("--allow-private");
  context.stderr.write(`to go on: vlmr1-native crawl ${flags.join(" ")} --resume\n`);
}

function printResult(result: CrawlResult, config: CrawlConfig, context: CliContext): void {
  const { problems, pages, pictures, items, duplicates } = result;
  for (const { message } of problems.slice(0, SHOWN)) warn(context, message);
  if (problems.length > SHOWN) warn(context, `${problems.length - SHOWN} more problems are in ${result.report}`);
  const later = problems.filter((problem) => problem.later).length;
  const again = later === 0 ? "" : `\n${later} of the problems may pass: --resume tries these again`;
  const images =
    pictures.saved + pictures.missing === 0 ? "" : `, ${pictures.saved} with a picture (${pictures.files} files)`;
  const failed = pages.failed === 0 ? "" : `, ${pages.failed} failed`;
  const twice = duplicates === 0 ? "" : `, ${duplicates} left out that were there already`;
  const ends = pages.ends === 0 ? "" : `; ${pages.ends} group${pages.ends === 1 ? "" : "s"} ended before the last page`;
  const text = `${result.csv}: ${items} items${images} from ${pages.fetched} pages${failed}${twice}${ends}${again}\n`;
  context.stdout.write(config.resume && result.requests === 0 ? `${text}nothing was left to fetch\n` : text);
}

function printPreview(preview: CrawlPreview, { problems }: CrawlResult, context: CliContext): void {
  const { url, pages, seconds, items, next } = preview;
  for (const { message } of problems.slice(0, SHOWN)) warn(context, message);
  const lines = [
    `${url}: ${items.length} items`,
    ...items
      .slice(0, SHOWN)
      .flatMap((item) => ["", ...Object.entries(item).map(([name, value]) => `  ${name}: ${value}`)]),
    ...(items.length > SHOWN ? ["", `  … and ${items.length - SHOWN} more`] : []),
    "",
    next === undefined
      ? `${pages} pages, at least ${formatDuration(seconds * 1000)} with the pauses between them; nothing was written`
      : `next page: ${next}; nothing was written`,
  ];
  context.stdout.write(`${lines.join("\n")}\n`);
}
