import { type Processor, smartResize } from "../../processing/index.js";
import type { Row } from "../datasets/index.js";
import { withSuffix } from "../encode-rows.js";

export interface CheckedPicture {
  width: number;
  height: number;
  /** As the model gets it; with a processor. */
  resizedWidth?: number | undefined;
  resizedHeight?: number | undefined;
  tokens?: number | undefined;
}

export interface RowTokens {
  /** All of the prompt, its pictures included. */
  prompt: number;
  pictures: number;
  answer: number;
}

/** What a row's prompt and answer take, without the pixels. Throws `ERR_DATA` and `ERR_IMAGE` as encoding would. */
export async function measureRow(
  row: Row,
  sizes: readonly { width: number; height: number }[],
  processor: Processor,
  promptSuffix: string,
): Promise<{ pictures: CheckedPicture[]; tokens: RowTokens }> {
  const { patchSize, mergeSize, minPixels, maxPixels } = processor.imageSettings;
  const factor = patchSize * mergeSize;
  const pictures = sizes.map(({ width, height }): Required<CheckedPicture> => {
    const resized = smartResize(width, height, { factor, minPixels, maxPixels });
    const tokens = (resized.width * resized.height) / factor ** 2;
    return { width, height, resizedWidth: resized.width, resizedHeight: resized.height, tokens };
  });
  let next = 0;
  const sizeOf = async () => sizes[next++] as { width: number; height: number };
  const { textTokens } = await processor.measure(withSuffix(row.messages, promptSuffix), row.images, sizeOf);
  const pictureTokens = pictures.reduce((sum, { tokens }) => sum + tokens, 0);
  const answer = row.solution === "" ? 0 : processor.answerTokens(row.solution).length;
  return { pictures, tokens: { prompt: textTokens + pictureTokens, pictures: pictureTokens, answer } };
}

/** The prompt as the template writes it, every special token visible, and what it is to be answered with. */
export function renderRow(row: Row, processor: Processor, promptSuffix: string): { prompt: string; answer: string } {
  const messages = withSuffix(row.messages, promptSuffix);
  return { prompt: processor.template.render(messages, { addGenerationPrompt: true }), answer: row.solution };
}
