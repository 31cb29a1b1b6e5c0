import type { PageRun } from "./page-data.js";
import { type Detail, FULL_DETAIL, type PictureStore, toPageRun } from "./page-run.js";
import { readRunRecord } from "./run-record.js";

export interface PageRunOptions extends Partial<Detail> {
  signal?: AbortSignal | undefined;
}

/**
 * What a page shows of the run in `folder`, whatever became of it. Throws `ERR_NOT_FOUND` for a folder that no run has
 * written; all else that is missing or damaged is left out, or named among the warnings.
 */
export async function readPageRun(
  folder: string,
  pictures: PictureStore,
  { signal, ...asked }: PageRunOptions = {},
): Promise<PageRun> {
  const detail = { ...FULL_DETAIL, ...asked };
  return toPageRun(await readRunRecord(folder, { ...detail, signal }), pictures, detail, signal);
}
