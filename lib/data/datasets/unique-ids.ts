import type { Row } from "./row.js";

export interface UniqueRows<T extends { id: string } = Row> {
  rows: T[];
  /** Rows whose id another row had before, as they are called now. */
  renamed: { from: string; to: string }[];
}

/**
 * Gives every row an id of its own: answers are compared, and rewards and warnings named, by it. The first row with an
 * id keeps it, later ones get `#2`, `#3` … behind; `raw` keeps what the file says. Two files whose rows are numbered
 * alike are nothing unusual, so this is no reason to refuse them.
 */
export function withUniqueIds<T extends { id: string } = Row>(rows: readonly T[]): UniqueRows<T> {
  const all = new Set(rows.map(({ id }) => id));
  const used = new Set<string>();
  /** By id: the number that its last namesake got. */
  const numbers = new Map<string, number>();
  const renamed: UniqueRows["renamed"] = [];
  const unique = rows.map((row) => {
    if (!used.has(row.id)) {
      used.add(row.id);
      return row;
    }
    let number = numbers.get(row.id) ?? 1;
    do number += 1;
    while (all.has(`${row.id}#${number}`));
    numbers.set(row.id, number);
    const to = `${row.id}#${number}`;
    all.add(to);
    renamed.push({ from: row.id, to });
    return { ...row, id: to };
  });
  return { rows: unique, renamed };
}
