import { join } from "node:path";
import { type ConvertOptions, convertData } from "../../lib/data/convert/index.js";
import { loadConversations } from "../../lib/data/datasets/index.js";

/** Turns of a conversation. */
export const human = (value: string) => ({ from: "human", value });
export const gpt = (value: string) => ({ from: "gpt", value });

/** Converts into a folder, and reads the rows as training does. */
export async function convertAndLoad(input: string, folder: string, options: Partial<ConvertOptions> = {}) {
  const { report, paths } = await convertData({ input, output: join(folder, "out.json"), ...options });
  return { folder, report, rows: (await loadConversations(paths.train)).rows };
}
