import { type FileRows, keepRows, listIds, type Row } from "../data/datasets/index.js";
import { isRowError, withSuffix } from "../data/encode-rows.js";
import { mapBounded } from "../data/map-bounded.js";
import { VlmR1Error } from "../errors/index.js";
import { type ImageSource, imageSize } from "../processing/image.js";
import type { Processor } from "../processing/index.js";
import { shapeOf } from "./prompt-sizes.js";

export interface OverlongOptions {
  maxPromptLength: number;
  promptSuffix: string;
  signal?: AbortSignal | undefined;
  /** 0 … 1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

/** Rows that are measured at a time. */
const WIDTH = 64;
/** Rows between two reports of progress. */
const PROGRESS_EVERY = 256;

/**
 * Leaves out the rows whose prompts have more than `maxPromptLength` tokens, pictures included, with one warning. All
 * of them are measured before the run begins, so that its steps are full: on two cores 0.1 ms for a short question and
 * 0.15 ms for its picture's header, which is read once whatever the number of its questions; half a minute for 100,000
 * rows. A row that cannot be measured stays, and is named when it is taken. Throws `ERR_DATA` where none of the others
 * fits.
 */
export async function leaveOutOverlong(
  data: FileRows,
  processor: Processor,
  options: OverlongOptions,
  warn: (message: string) => void,
): Promise<FileRows> {
  const { maxPromptLength } = options;
  const { rows } = data;
  const lengths = await promptLengths(rows, processor, options);
  const isOverlong = (row: number) => (lengths[row] ?? 0) > maxPromptLength;
  const overlong = rows.filter((_, row) => isOverlong(row));
  if (overlong.length === 0) return data;
  const known = lengths.filter((length) => length !== undefined);
  if (overlong.length === known.length) throw noneFits(maxPromptLength, known);
  const longest = known.reduce((a, b) => Math.max(a, b));
  warn(
    `${overlong.length} of ${rows.length} rows are left out: their prompts have more than max_prompt_length ` +
      `(${maxPromptLength}) tokens, up to ${longest}: ${listIds(overlong)}`,
  );
  return keepRows(data, (row) => !isOverlong(row));
}

/** By row; undefined where it cannot be measured. */
async function promptLengths(
  rows: readonly Row[],
  processor: Processor,
  { promptSuffix, signal, onProgress }: OverlongOptions,
): Promise<(number | undefined)[]> {
  const sizes = new Map<ImageSource, ReturnType<typeof imageSize>>();
  const sizeOf = (source: ImageSource) => {
    const size = sizes.get(source) ?? imageSize(source);
    sizes.set(source, size);
    return size;
  };
  const { imageSettings } = processor;
  const measure = async (row: Row) => {
    try {
      const size = await processor.measure(withSuffix(row.messages, promptSuffix), row.images, sizeOf);
      return shapeOf(size, imageSettings, imageSettings).tokens;
    } catch (error) {
      if (isRowError(error)) return undefined;
      throw error;
    }
  };
  const onDone = (done: number) => {
    if (done % PROGRESS_EVERY === 0 || done === rows.length) onProgress?.(done / rows.length);
  };
  return mapBounded(rows, measure, { width: WIDTH, signal, onDone });
}

function noneFits(maxPromptLength: number, lengths: readonly number[]): VlmR1Error {
  const shortest = lengths.reduce((a, b) => Math.min(a, b));
  return new VlmR1Error(
    "ERR_DATA",
    `none of the ${lengths.length} prompts has at most max_prompt_length (${maxPromptLength}) tokens; the shortest has ${shortest}`,
    { hint: `Set max_prompt_length to at least ${shortest}, or lower max_pixels so that pictures take fewer tokens.` },
  );
}
