import type { FetchOptions } from "../hub/index.js";
import { DownloadText } from "../report/index.js";
import type { CliContext } from "./context.js";
import { StatusLine, warn } from "./output.js";

/** Shows what `use` fetches from the hub. */
export async function showFetching<T>(context: CliContext, use: (fetching: FetchOptions) => Promise<T>): Promise<T> {
  const status = new StatusLine(context);
  const text = new DownloadText();
  try {
    return await use({
      signal: context.signal,
      onNotice: (message) => {
        status.clear();
        warn(context, message);
      },
      onProgress: (progress) => {
        const line = text.milestone(progress);
        if (line === undefined) return status.show(text.line(progress));
        status.clear();
        context.stderr.write(`${line}\n`);
      },
    });
  } finally {
    status.clear();
  }
}
