import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { halfWidth } from "./plain.js";
import type { RewardFunction, RewardImage } from "./types.js";

/** x1, y1, x2, y2 with x1 ≤ x2 and y1 ≤ y2. */
export type Box = readonly [number, number, number, number];

/**
 * What the numbers of a box count: pixels of the picture as the model gets it (`processed`: Qwen2.5-VL), pixels of the
 * file (`original`), thousandths of width and height (`norm1000`: Qwen2-VL), or their fractions (`norm1`).
 */
export const BoxSpace = z.enum(["processed", "original", "norm1000", "norm1"]);
export type BoxSpace = z.output<typeof BoxSpace>;

/** Settings of every reward that compares boxes. */
export const boxSettings = {
  answerSpace: BoxSpace.default("processed").describe("what the answer's coordinates count"),
  truthSpace: BoxSpace.default("original").describe("what the solution's coordinates count"),
  image: z.int().min(0).default(0).describe("which of the row's pictures the boxes are in, from 0"),
};

export interface BoxSettings {
  answerSpace: BoxSpace;
  truthSpace: BoxSpace;
  image: number;
}

const readers = new WeakSet<RewardFunction>();

/** Marks a reward that compares places in pictures, which must then not be moved by augmentation. */
export function readsBoxes(reward: RewardFunction): RewardFunction {
  readers.add(reward);
  return reward;
}

export function isBoxReader(reward: RewardFunction): boolean {
  return readers.has(reward);
}

/** Intersection over union, 0 where both are empty. The same whatever each axis is multiplied by. */
export function boxIou(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = width > 0 && height > 0 ? width * height : 0;
  const union = area(a) + area(b) - shared;
  return union > 0 ? Math.min(1, shared / union) : 0;
}

function area([x1, y1, x2, y2]: Box): number {
  return (x2 - x1) * (y2 - y1);
}

/** A box of anything that may be one: four finite numbers, or texts of such, with the corners in order. */
export function asBox(value: unknown): Box | undefined {
  if (!Array.isArray(value)) return undefined;
  // [[x1, y1], [x2, y2]] is written too.
  const flat: unknown[] = value.length === 2 ? value.flat() : value;
  if (flat.length !== 4) return undefined;
  const numbers = flat.map((item) => (typeof item === "string" && item.trim() !== "" ? Number(item) : item));
  if (!numbers.every((item): item is number => typeof item === "number" && Number.isFinite(item))) return undefined;
  const [x1, y1, x2, y2] = numbers as [number, number, number, number];
  return x1 <= x2 && y1 <= y2 ? [x1, y1, x2, y2] : undefined;
}

// All repetitions are bounded: linear time on any text.
const NUMBER = String.raw`["']?([+-]?(?:\d{1,12}(?:\.\d{0,20})?|\.\d{1,20}))["']?`;
const GAP = String.raw`\s{0,4}(?:[,;]|\s)\s{0,4}`;
const CORNERS = String.raw`\s{0,4}[\])>]?\s{0,4}(?:[,;]|\s)?\s{0,4}[[(<]?\s{0,4}`;
const BOX = new RegExp(
  String.raw`[[(<{]\s{0,4}${NUMBER}${GAP}${NUMBER}(?:${GAP}|${CORNERS})${NUMBER}${GAP}${NUMBER}\s{0,4}[\])>}]`,
  "g",
);

/**
 * The first box that a text holds: `[x1, y1, x2, y2]`, with or without JSON around it, with whole or decimal numbers
 * and any of `[`, `(`, `<`, `{`; also `(x1,y1),(x2,y2)`, as Qwen-VL wrote it. Corners in the wrong order are no box.
 */
export function firstBox(text: string): Box | undefined {
  BOX.lastIndex = 0;
  const match = BOX.exec(halfWidth(text));
  return match === null ? undefined : asBox(match.slice(1).map(Number));
}

/** What a space's coordinates are divided by to become fractions of the picture's width and height. */
export function spaceSize(space: BoxSpace, image: RewardImage | undefined): { width: number; height: number } {
  if (space === "norm1") return { width: 1, height: 1 };
  if (space === "norm1000") return { width: 1000, height: 1000 };
  if (image === undefined) {
    throw new VlmR1Error("ERR_REWARD", `expected a picture whose size says what ${space} coordinates mean, got none`, {
      hint: "Set answer_space and truth_space to the same space, or name another of the row's pictures with image.",
    });
  }
  if (space === "original") return image;
  return { width: image.resizedWidth, height: image.resizedHeight };
}

/** Turns boxes of answer and truth into ones that can be compared. */
export function comparableBoxes(
  { answerSpace, truthSpace, image }: BoxSettings,
  images: readonly RewardImage[],
): { answer: (box: Box) => Box; truth: (box: Box) => Box } {
  if (answerSpace === truthSpace) return { answer: (box) => box, truth: (box) => box };
  const divideBy = (space: BoxSpace) => {
    const { width, height } = spaceSize(space, images[image]);
    return ([x1, y1, x2, y2]: Box): Box => [x1 / width, y1 / height, x2 / width, y2 / height];
  };
  return { answer: divideBy(answerSpace), truth: divideBy(truthSpace) };
}
