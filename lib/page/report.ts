import { join } from "node:path";
import { parseConfig, parseSize } from "../config/index.js";
import { type ReportInput, reportSchema } from "../config/report-schema.js";
import { packageVersion } from "../engine/index.js";
import { throwIfAborted, usageError, VlmR1Error } from "../errors/index.js";
import { replaceFile } from "../files/index.js";
import { formatBytes } from "../report/format.js";
import { REPORT_FILE } from "../report/run-files.js";
import { EmbeddedPictures, type ThumbnailOptions } from "./embedded-pictures.js";
import { renderPage } from "./html.js";
import type { PageData, PageRun } from "./page-data.js";
import { type Detail, FULL_DETAIL, toPageRun } from "./page-run.js";
import { requireReplaceable } from "./report-target.js";
import { runNames } from "./run-names.js";
import { type RunRecord, readRunRecord } from "./run-record.js";

export interface ReportOptions extends ReportInput {
  /** When the report says that it was made; now unless given. */
  made?: Date | undefined;
  signal?: AbortSignal | undefined;
}

export interface WrittenReport {
  path: string;
  bytes: number;
  /** Whether something was made smaller or left out for `maxSize`. */
  reduced: boolean;
  runs: Pick<PageRun, "name" | "status" | "step" | "totalSteps">[];
}

interface Level extends Partial<Detail> {
  thumbnails: ThumbnailOptions;
}

/** Tried in order until the report fits: first what is hardly seen, then what one can do without. */
const LEVELS: readonly Level[] = [
  { thumbnails: { side: 160, quality: 80 } },
  { thumbnails: { side: 160, quality: 60 }, completions: 48, maxPoints: 1000, maxText: 4000 },
  { thumbnails: { side: 128, quality: 50 }, gallery: 40, completions: 32, maxPoints: 600, maxText: 2000 },
  { thumbnails: { side: 96, quality: 40 }, gallery: 24, completions: 16, maxPoints: 300, maxText: 1000 },
  { thumbnails: { side: 64, quality: 30 }, gallery: 12, regressions: 6, completions: 8, maxPoints: 150, maxText: 500 },
  { thumbnails: { side: 48, quality: 20 }, gallery: 4, regressions: 2, completions: 4, maxPoints: 60, maxText: 200 },
];

/**
 * Makes one HTML file of one or several runs, finished or not; it needs nothing beside itself. The file is replaced
 * whole; one that is no report is never written over. The same runs, options and date give the same bytes.
 *
 * @param folders Of runs: `trainer.outputDir`.
 * @throws VlmR1Error `ERR_NOT_FOUND` for a folder that holds no run, `ERR_CONFIG` where not even the least fits into
 * `maxSize` or something else than a report is in its place, `ERR_IO` where it cannot be written.
 * @example
 * const { path, bytes } = await writeReport("runs/mine", { maxSize: "1MB" });
 */
export async function writeReport(
  folders: string | readonly string[],
  { made = new Date(), signal, ...input }: ReportOptions = {},
): Promise<WrittenReport> {
  const options = parseConfig(reportSchema, input, "report options");
  const paths = [folders].flat();
  if (paths.length === 0) throw usageError("expected the folder of at least one run, got none");
  const out = options.out ?? join(paths[0] as string, REPORT_FILE);
  await requireReplaceable(out);
  const { gallery, regressions, completions } = options;
  const asked: Detail = { ...FULL_DETAIL, gallery, regressions, completions };
  const records: RunRecord[] = [];
  for (const path of paths) records.push(await readRunRecord(path, { ...asked, signal }));
  const names = runNames(paths);
  const about = { title: options.title ?? names.join(", "), made: made.toISOString() };
  const maxBytes = parseSize(options.maxSize);
  const { html, data, level } = await fitting(records, { names, about, asked, maxBytes, signal });
  throwIfAborted(signal);
  await replaceFile(out, { what: "write the report" }, (file) => file.writeFile(html));
  return {
    path: out,
    bytes: Buffer.byteLength(html),
    reduced: level > 0,
    runs: data.runs.map(({ name, status, step, totalSteps }) => ({ name, status, step, totalSteps })),
  };
}

interface Wanted {
  names: readonly string[];
  about: Pick<PageData, "title" | "made">;
  asked: Detail;
  maxBytes: number;
  signal: AbortSignal | undefined;
}

/** The report with as much as `maxBytes` has room for. */
async function fitting(
  records: readonly RunRecord[],
  wanted: Wanted,
): Promise<{ html: string; data: PageData; level: number }> {
  let bytes = 0;
  for (const [level, settings] of LEVELS.entries()) {
    const data = await pageData(records, settings, wanted);
    const html = await renderPage(data);
    bytes = Buffer.byteLength(html);
    if (bytes <= wanted.maxBytes) return { html, data, level };
  }
  const message = `max_size: the least that the report takes is ${formatBytes(bytes)}, more than ${formatBytes(wanted.maxBytes)}`;
  throw new VlmR1Error("ERR_CONFIG", message, { hint: "Raise max_size, or make a report of fewer runs." });
}

async function pageData(
  records: readonly RunRecord[],
  { thumbnails, ...limits }: Level,
  { names, about, asked, signal }: Wanted,
): Promise<PageData> {
  const store = new EmbeddedPictures(thumbnails);
  const detail = lesser(asked, limits);
  const runs: PageRun[] = [];
  for (const [index, record] of records.entries()) {
    const name = names[index] as string;
    runs.push({ ...(await toPageRun(record, store, detail, signal)), name });
  }
  return { kind: "report", ...about, version: packageVersion(), runs, pictures: store.pictures };
}

function lesser(asked: Detail, limits: Partial<Detail>): Detail {
  const least = (name: keyof Detail) => Math.min(asked[name], limits[name] ?? Number.POSITIVE_INFINITY);
  return {
    gallery: least("gallery"),
    regressions: least("regressions"),
    completions: least("completions"),
    maxPoints: least("maxPoints"),
    maxText: least("maxText"),
  };
}
