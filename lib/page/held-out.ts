import type { Comparison } from "../eval/index.js";
import type { HeldOut } from "./page-data.js";

/** The scores of two evaluations side by side, as the page has them. */
export function toHeldOut({ labels, rows, scores }: Comparison): HeldOut {
  return {
    labels,
    rows,
    scores: scores.map(({ name, unit, first, second, difference: { value, low, high } }) => {
      return { name, unit, first, second, difference: { value, low, high } };
    }),
  };
}
