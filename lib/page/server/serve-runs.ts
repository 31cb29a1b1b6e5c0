import { packageVersion } from "../../engine/index.js";
import { renderPage } from "../html.js";
import { readPageRun } from "../read-run.js";
import { FoldersFeed } from "./folders-feed.js";
import { PictureShelf } from "./picture-shelf.js";
import { PageServer } from "./server.js";

export interface ServeRunsOptions {
  /** Others than 127.0.0.1, the default, let other machines in, with a token. */
  host?: string | undefined;
  /** 0: any free one; undefined: 8790, or the next that is free. */
  port?: number | undefined;
  /** This package's, as the page names it. */
  version?: string | undefined;
  /** Milliseconds between two looks into the folders. */
  lookMs?: number | undefined;
}

/**
 * Serves a page of runs by their folders; those that another process is writing are followed, and cannot be steered.
 *
 * @throws VlmR1Error as reading a run's folder does; `ERR_PORT_IN_USE`; `ERR_CONFIG` for a host of another machine
 */
export async function serveRuns(
  folders: readonly string[],
  { host = "127.0.0.1", port, version = packageVersion(), lookMs }: ServeRunsOptions = {},
): Promise<{ url: string; close(): Promise<void> }> {
  const pictures = new PictureShelf();
  const feed = await FoldersFeed.open(folders, { version, lookMs, read: (folder) => readPageRun(folder, pictures) });
  const server = await PageServer.open({ host, port, source: feed, render: renderPage, pictures });
  feed.follow(server);
  return {
    url: server.url,
    close: async () => {
      await feed.close();
      await server.close();
    },
  };
}
