import { nearestName } from "../config/names.js";
import type { Row } from "../data/datasets/index.js";
import { VlmR1Error } from "../errors/index.js";
import { rowMethod } from "./accuracy.js";

const SHOWN_ROWS = 5;

/**
 * The rewards that a row names in its field `rewards` or `reward_funcs`: a name or a list of names. Undefined: all of
 * the run's. Throws `ERR_DATA` for what is no name.
 */
export function rowRewards(row: Row): readonly string[] | undefined {
  for (const field of ["rewards", "reward_funcs"]) {
    const value = row.raw?.[field];
    if (value === undefined || value === null) continue;
    const names = typeof value === "string" ? value.split(",").map((name) => name.trim()) : value;
    if (Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === "string" && name !== "")) {
      return names as string[];
    }
    throw new VlmR1Error("ERR_DATA", `${field}: expected names of rewards, got ${JSON.stringify(value)?.slice(0, 80)}`);
  }
  return undefined;
}

/** Throws `ERR_DATA` that lists the rows which name rewards that the run does not have, or unknown accuracy methods. */
export function checkRowRewards(rows: readonly Row[], names: readonly string[]): void {
  const problems = rows.flatMap((row) => {
    try {
      rowMethod(row);
      const unknown = rowRewards(row)?.find((name) => !names.includes(name));
      return unknown === undefined
        ? []
        : [`row ${row.id}: the run has no reward "${unknown}"${didYouMean(unknown, names)}`];
    } catch (error) {
      if (!(error instanceof VlmR1Error)) throw error;
      return [`row ${row.id}: ${error.message}${error.hint === undefined ? "" : `. ${error.hint}`}`];
    }
  });
  if (problems.length === 0) return;
  const more = problems.length > SHOWN_ROWS ? [`  … and ${problems.length - SHOWN_ROWS} more`] : [];
  const lines = problems.slice(0, SHOWN_ROWS).map((problem) => `  ${problem}`);
  throw new VlmR1Error("ERR_DATA", [`${problems.length} rows cannot be judged`, ...lines, ...more].join("\n"), {
    hint: `The run's rewards are ${names.join(", ")}; name more with --reward.`,
  });
}

function didYouMean(name: string, names: readonly string[]): string {
  const near = nearestName(name, names);
  return near === undefined ? "" : `, did you mean "${near}"?`;
}
