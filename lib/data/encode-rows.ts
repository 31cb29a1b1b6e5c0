import { throwIfAborted, VlmR1Error } from "../errors/index.js";
import type { ContentPart, ImageSource, Message, Processor, Prompt } from "../processing/index.js";
import type { Row } from "./datasets/index.js";

export interface EncodedRow {
  row: Row;
  prompt: Prompt;
}

/** A row that could not be used. */
export interface RowFailure {
  row: Row;
  message: string;
}

export interface EncodeRowsOptions {
  /** Written after every question. */
  promptSuffix: string;
  /** Most tokens that a prompt may have: the model's positions less what is to be written. */
  maxPromptTokens: number;
  signal?: AbortSignal | undefined;
  /** Another picture in place of a row's own: `images[index]` of the row. */
  replaceImage?: ((row: Row, index: number) => Promise<ImageSource>) | undefined;
}

/** Mistakes of one row, which a run survives; anything else ends it. */
const ROW_ERRORS: ReadonlySet<string> = new Set(["ERR_IMAGE", "ERR_DATA", "ERR_NOT_FOUND", "ERR_IO"]);

export function isRowError(error: unknown): error is VlmR1Error {
  return error instanceof VlmR1Error && ROW_ERRORS.has(error.code);
}

/** Bytes of pixels. */
const MANY = 64 * 2 ** 20;

/** Whether prompts that wait for their turn hold so many pictures that they are to be answered before more are read. */
export function holdManyPictures(waiting: Iterable<{ prompt: Prompt }>): boolean {
  let bytes = 0;
  for (const { prompt } of waiting) for (const { pixelValues } of prompt.images) bytes += pixelValues.byteLength;
  return bytes >= MANY;
}

/** Makes prompts of rows. A row with a bad picture or too many tokens is left out and told. */
export async function encodeRows(
  processor: Processor,
  rows: readonly Row[],
  options: EncodeRowsOptions,
): Promise<{ encoded: (EncodedRow | undefined)[]; failures: RowFailure[] }> {
  const failures: RowFailure[] = [];
  const encoded = await Promise.all(
    rows.map(async (row) => {
      try {
        return { row, prompt: await encodeRow(processor, row, options) };
      } catch (error) {
        throwIfAborted(options.signal);
        if (!isRowError(error)) throw error;
        failures.push({ row, message: error.message });
        return undefined;
      }
    }),
  );
  return { encoded, failures };
}

async function encodeRow(processor: Processor, row: Row, options: EncodeRowsOptions): Promise<Prompt> {
  const { promptSuffix, maxPromptTokens, signal, replaceImage } = options;
  const images =
    replaceImage === undefined ? row.images : await Promise.all(row.images.map((_, index) => replaceImage(row, index)));
  throwIfAborted(signal);
  // Without the signal: rows are made side by side, and a prompt takes milliseconds.
  const prompt = await processor.prompt(withSuffix(row.messages, promptSuffix), images);
  if (prompt.tokens.length > maxPromptTokens) {
    throw new VlmR1Error(
      "ERR_DATA",
      `the prompt has ${prompt.tokens.length} tokens; with the completion the model has room for ${maxPromptTokens}`,
    );
  }
  return prompt;
}

/** A row's messages as they are rendered. */
export function withSuffix(messages: readonly Message[], suffix: string): readonly Message[] {
  const last = messages.at(-1);
  if (suffix === "" || last === undefined) return messages;
  const end: ContentPart = { type: "text", text: suffix };
  const content = typeof last.content === "string" ? last.content + suffix : [...last.content, end];
  return [...messages.slice(0, -1), { ...last, content }];
}
