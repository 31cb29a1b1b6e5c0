import type { Row } from "./row.js";

/** Rows of several data files, one file after another. */
export interface FileRows {
  rows: readonly Row[];
  /** How many of `rows` come from each file, in order. */
  files: readonly number[];
}

/** Those for which `keep` is true of their number. */
export function keepRows({ rows, files }: FileRows, keep: (row: number) => boolean): FileRows {
  const kept = rows.filter((_, row) => keep(row));
  let end = 0;
  let row = 0;
  const counts = files.map((count) => {
    end += count;
    let own = 0;
    for (; row < end; row += 1) own += Number(keep(row));
    return own;
  });
  return { rows: kept, files: counts };
}
