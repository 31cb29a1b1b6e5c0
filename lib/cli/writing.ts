import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathBeside } from "../files/index.js";
import type { CliContext } from "./context.js";
import { StatusLine } from "./output.js";

export const DTYPE_BYTES = { f32: 4, bf16: 2, f16: 2 } as const;

const INTERVAL_MS = 500;
const GIGA = 1e9;

/** Shows how much of a model's weights is on the disk, while `work` writes them to a folder or to the one beside it. */
export async function showWriting<T>(
  context: CliContext,
  out: string,
  expectedBytes: number,
  work: () => Promise<T>,
): Promise<T> {
  const status = new StatusLine(context);
  let done = false;
  const timer = setInterval(async () => {
    const bytes = (await weightBytes(out)) + (await weightBytes(pathBeside(out)));
    const share = Math.min(100, (100 * bytes) / expectedBytes);
    if (!done)
      status.show(
        `writing ${(bytes / GIGA).toFixed(1)} of ${(expectedBytes / GIGA).toFixed(1)} GB, ${share.toFixed(0)} %`,
      );
  }, INTERVAL_MS);
  try {
    return await work();
  } finally {
    done = true;
    clearInterval(timer);
    status.clear();
  }
}

/** Files come and go while they are counted: what is not there counts nothing. */
async function weightBytes(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = names
    .filter((name) => name.includes(".safetensors"))
    .map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
