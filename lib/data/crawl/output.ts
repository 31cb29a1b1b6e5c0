import { join } from "node:path";
import { stringify } from "csv-stringify/sync";
import type { Site } from "../../config/crawl-schema.js";
import { replaceFile, replaceJson } from "../../files/index.js";
import type { CrawlReport } from "./result.js";
import { IMAGE_PATH } from "./site.js";

export const CSV_FILE = "items.csv";
export const REPORT_FILE = "crawl-report.json";
const HINT = "What was fetched is kept: with room on the disk, --resume goes on.";

/** An item as it becomes a row: values in the order of the site's fields. */
export interface CrawledItem {
  values: string[];
  /** Relative to the CSV; empty where there is no picture. */
  imagePath: string;
}

/**
 * UTF-8 with a byte order mark, a column per field and one for the picture's file. Texts that a spreadsheet would run
 * as formulas (they begin with = + - @ or a control) get an apostrophe before them.
 */
export async function writeCsv(folder: string, site: Site, items: readonly CrawledItem[]): Promise<void> {
  const columns = [...Object.keys(site.fields), ...(site.images === false ? [] : [IMAGE_PATH])];
  const rows = items.map(({ values, imagePath }) => (site.images === false ? values : [...values, imagePath]));
  const text = stringify([columns, ...rows], { bom: true, escape_formulas: true });
  const path = join(folder, CSV_FILE);
  await replaceFile(path, { what: "write the items", hint: HINT }, (file) => file.writeFile(text));
}

export async function writeReport(folder: string, report: CrawlReport): Promise<void> {
  await replaceJson(join(folder, REPORT_FILE), report, { what: "write the report", hint: HINT });
}
