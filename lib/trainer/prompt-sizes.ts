import type { Row } from "../data/datasets/index.js";
import { isRowError, withSuffix } from "../data/encode-rows.js";
import type { ModelInfo } from "../engine/index.js";
import { throwIfAborted } from "../errors/index.js";
import { type Processor, type PromptSize, smartResize } from "../processing/index.js";

export interface PixelLimits {
  minPixels: number;
  maxPixels: number;
}

/** A prompt as the engine counts it. */
export interface PromptShape {
  tokens: number;
  /** Patches along time, height, width. */
  grids: [number, number, number][];
}

export interface MeasuredRows {
  sizes: PromptSize[];
  /** Rows that were looked at, and those that there are. */
  looked: number;
  rows: number;
}

export interface MeasureOptions {
  promptSuffix: string;
  /** Rows to look at, at most: evenly over the data. */
  limit: number;
  signal?: AbortSignal | undefined;
}

/** Rows that are measured at a time. */
const WIDTH = 16;

/** How large the prompts of a data set are. Rows that a run would leave out are left out. */
export async function measureRows(
  processor: Processor,
  rows: readonly Row[],
  { promptSuffix, limit, signal }: MeasureOptions,
): Promise<MeasuredRows> {
  const chosen = lookedAt(rows, limit);
  const sizes: PromptSize[] = [];
  for (let start = 0; start < chosen.length; start += WIDTH) {
    throwIfAborted(signal);
    const part = chosen.slice(start, start + WIDTH).map(async (row) => {
      try {
        return await processor.measure(withSuffix(row.messages, promptSuffix), row.images);
      } catch (error) {
        if (isRowError(error)) return undefined;
        throw error;
      }
    });
    sizes.push(...(await Promise.all(part)).filter((size) => size !== undefined));
  }
  return { sizes, looked: chosen.length, rows: rows.length };
}

/** Evenly over the data, at most `limit` rows. */
export function lookedAt(rows: readonly Row[], limit: number): Row[] {
  const looked = Math.min(limit, rows.length);
  return Array.from({ length: looked }, (_, i) => rows[Math.floor((i * rows.length) / looked)] as Row);
}

/** What resizing makes of a prompt. */
export function shapeOf(
  { textTokens, pictures }: PromptSize,
  { patchSize, mergeSize }: Pick<ModelInfo, "patchSize" | "mergeSize">,
  { minPixels, maxPixels }: PixelLimits,
): PromptShape {
  const grids = pictures.map(({ width, height }): [number, number, number] => {
    const resized = smartResize(width, height, { factor: patchSize * mergeSize, minPixels, maxPixels });
    return [1, resized.height / patchSize, resized.width / patchSize];
  });
  const tokens = grids.reduce((sum, [t, h, w]) => sum + (t * h * w) / mergeSize ** 2, textTokens);
  return { tokens, grids };
}

/** A step of the `count` longest prompts that fit beside `room`; where there are fewer some come again. */
export function longestPrompts(shapes: readonly PromptShape[], count: number, room: number): PromptShape[] {
  const longest = shapes.filter(({ tokens }) => tokens <= room).sort((a, b) => b.tokens - a.tokens);
  if (longest.length === 0) return [];
  return Array.from({ length: count }, (_, index) => longest[index % longest.length] as PromptShape);
}
