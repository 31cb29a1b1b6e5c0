import { type Box, boxIou } from "./boxes.js";

export interface Detection {
  box: Box;
  label: string;
  /** The higher ones choose first; equal ones in their order. */
  score: number;
}

/** COCO's IoU thresholds, 0.5, 0.55 … 0.95. */
export const COCO_THRESHOLDS: readonly number[] = Array.from({ length: 10 }, (_, index) => (50 + 5 * index) / 100);
/** COCO's 101 recall levels. */
const RECALL_LEVELS = 100;

/**
 * COCO's mean average precision of one picture: over the labels of the truth and the thresholds, precision made
 * monotone and read at 101 recalls. Detections under other labels count in no class, as in COCO. From 0 to 1.
 */
export function meanAveragePrecision(
  given: readonly Detection[],
  wanted: readonly Detection[],
  thresholds: readonly number[],
): number {
  const labels = [...new Set(wanted.map(({ label }) => label))];
  let sum = 0;
  for (const label of labels) {
    const truths = wanted.filter((item) => item.label === label);
    const guesses = given.filter((item) => item.label === label).sort((a, b) => b.score - a.score);
    const overlaps = guesses.map(({ box }) => truths.map((truth) => boxIou(box, truth.box)));
    for (const threshold of thresholds) sum += averagePrecision(overlaps, truths.length, threshold);
  }
  return sum / (labels.length * thresholds.length);
}

/** Every guess takes the free truth with which it overlaps most, where that is enough. */
function averagePrecision(overlaps: readonly number[][], truths: number, threshold: number): number {
  const taken = new Set<number>();
  const precision: number[] = [];
  const found: number[] = [];
  for (const [index, row] of overlaps.entries()) {
    const best = bestFree(row, taken);
    if (best !== undefined && (row[best] as number) >= threshold) taken.add(best);
    found.push(taken.size);
    precision.push(taken.size / (index + 1));
  }
  for (let index = precision.length - 2; index >= 0; index -= 1) {
    precision[index] = Math.max(precision[index] as number, precision[index + 1] as number);
  }
  let sum = 0;
  let at = 0;
  for (let level = 0; level <= RECALL_LEVELS; level += 1) {
    // In whole numbers, so that a recall of 1/3 meets its level whatever the rounding.
    while (at < found.length && (found[at] as number) * RECALL_LEVELS < level * truths) at += 1;
    sum += precision[at] ?? 0;
  }
  return sum / (RECALL_LEVELS + 1);
}

function bestFree(row: readonly number[], taken: ReadonlySet<number>): number | undefined {
  let best: number | undefined;
  for (const [index, overlap] of row.entries()) {
    // Of equal ones the last, as COCO's own code takes it.
    if (!taken.has(index) && (best === undefined || overlap >= (row[best] as number))) best = index;
  }
  return best;
}

export interface Match {
  given: number;
  wanted: number;
  iou: number;
}

/**
 * Pairs by falling IoU, each box once, down to the threshold. With `sameLabel` only boxes of one label make a pair.
 * O(n·m·log(n·m)) for n given and m wanted boxes.
 */
export function greedyMatches(
  given: readonly Detection[],
  wanted: readonly Detection[],
  threshold: number,
  sameLabel: boolean,
): Match[] {
  const pairs: Match[] = [];
  for (const [i, guess] of given.entries()) {
    for (const [j, truth] of wanted.entries()) {
      if (sameLabel && guess.label !== truth.label) continue;
      const iou = boxIou(guess.box, truth.box);
      if (iou >= threshold) pairs.push({ given: i, wanted: j, iou });
    }
  }
  pairs.sort((a, b) => b.iou - a.iou || a.given - b.given || a.wanted - b.wanted);
  const usedGiven = new Set<number>();
  const usedWanted = new Set<number>();
  return pairs.filter((pair) => {
    if (usedGiven.has(pair.given) || usedWanted.has(pair.wanted)) return false;
    usedGiven.add(pair.given);
    usedWanted.add(pair.wanted);
    return true;
  });
}

/** 2·TP / (given + wanted), labels included. */
export function f1Score(given: readonly Detection[], wanted: readonly Detection[], threshold: number): number {
  return (2 * greedyMatches(given, wanted, threshold, true).length) / (given.length + wanted.length);
}

/**
 * VLM-R1's `weighted_sum`: 0.7 · position + 0.3 · completeness. Position: IoU of the pairs with the right label, over
 * the boxes wanted; completeness: 1 − (share missed + share of false alarms) / 2.
 */
export function weightedSum(given: readonly Detection[], wanted: readonly Detection[], threshold: number): number {
  const matches = greedyMatches(given, wanted, threshold, false);
  const position = matches
    .filter((match) => given[match.given]?.label === wanted[match.wanted]?.label)
    .reduce((sum, { iou }) => sum + iou / wanted.length, 0);
  const missed = 1 - matches.length / wanted.length;
  const falseAlarms = 1 - matches.length / given.length;
  return 0.7 * position + 0.3 * (1 - (missed + falseAlarms) / 2);
}
