import { VlmR1Error } from "../errors/index.js";
import type { RepositoryCache } from "./cache.js";
import type { HubClient } from "./client.js";
import type { RemoteFile } from "./files.js";
import { isBeingFetched, PartialFile } from "./partial-file.js";
import { sleep, Transient } from "./patience.js";
import type { DownloadMeter } from "./progress.js";
import type { HubSettings } from "./settings.js";
import { Watchdog } from "./watchdog.js";

/** What it takes to fetch one file of a commit. */
export interface BlobJob {
  client: HubClient;
  cache: RepositoryCache;
  settings: HubSettings;
  commit: string;
  file: RemoteFile;
  meter: DownloadMeter;
  signal: AbortSignal | undefined;
}

/** Times that the right number of wrong bytes may come. */
const WRONG_CONTENTS = 2;
const POLL_MILLISECONDS = 300;

/**
 * Brings a file's content into `blobs`. It gets its name when its checksum is right; what came before an interruption
 * is kept and continued.
 */
export async function fetchBlob(job: BlobJob): Promise<void> {
  const { file, meter } = job;
  for (let wrong = 0; !(await isThere(job)); ) {
    if (await fetchOnce(job)) break;
    wrong += 1;
    if (wrong === WRONG_CONTENTS) throw wrongContent(job);
  }
  meter.finish(file);
}

/** Waits for others who fetch the same file: it would be the same bytes twice. */
async function isThere({ cache, file, signal }: BlobJob): Promise<boolean> {
  for (;;) {
    if (await cache.hasBlob(file)) return true;
    if (!(await isBeingFetched(cache.blob(file)))) return false;
    await sleep(POLL_MILLISECONDS, signal);
  }
}

/** False where the content turned out wrong. */
async function fetchOnce(job: BlobJob): Promise<boolean> {
  const { cache, file, signal } = job;
  const partial = await PartialFile.claim(cache.blob(file), file, signal);
  try {
    await transfer(job, partial);
    const right = partial.isRight();
    if (right) await partial.finish();
    else await partial.remove();
    return right;
  } catch (error) {
    await partial.park();
    throw error;
  }
}

async function transfer(job: BlobJob, partial: PartialFile): Promise<void> {
  const { client, file, meter, settings } = job;
  const patience = client.patience(settings.retry.transfers);
  let furthest = partial.size;
  meter.set(file, partial.size);
  while (partial.size < file.size) {
    try {
      await receive(job, partial);
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      // A server that begins anew each time must not keep us for ever.
      if (partial.size > furthest) patience.reset();
      furthest = Math.max(furthest, partial.size);
      await patience.afterFailure(error);
    }
  }
}

/** One connection: from where the partial file ends, as far as it goes. */
async function receive(job: BlobJob, partial: PartialFile): Promise<void> {
  const { client, commit, file, meter, settings, signal } = job;
  const watchdog = new Watchdog(settings.timeout, signal);
  try {
    const offset = partial.size;
    const response = await client.open(file, commit, offset, watchdog.signal);
    if (!continuesAt(response, offset)) {
      await partial.reset();
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Transient(`${client.host} does not continue ${file.path} at byte ${offset}`);
      }
    }
    for await (const piece of piecesOf(response, client, file)) {
      watchdog.touch();
      await partial.write(piece);
      meter.set(file, partial.size);
      // More than there should be: the checksum will say so.
      if (partial.size > file.size) return;
    }
    if (partial.size < file.size) throw new Transient(`${client.host} ended ${file.path} early`);
  } finally {
    watchdog.stop();
  }
}

/** Not so where a server sends all from the beginning, or another part. */
function continuesAt(response: Response, offset: number): boolean {
  if (offset === 0) return response.status === 200;
  return response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${offset}-`) === true;
}

async function* piecesOf(response: Response, client: HubClient, { path }: RemoteFile): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const next = await reader?.read().catch((error: unknown) => {
        throw client.broken(error, path);
      });
      if (next?.value === undefined) return;
      yield next.value;
    }
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}

function wrongContent({ client, file, commit }: BlobJob): VlmR1Error {
  return new VlmR1Error(
    "ERR_CHECKSUM",
    `${file.path} of commit ${commit}: ${client.host} sent other bytes than its checksum ${file.blob} says, twice`,
    {
      hint: "Something between here and the server changes files, such as a proxy; try another network or HF_ENDPOINT.",
    },
  );
}
