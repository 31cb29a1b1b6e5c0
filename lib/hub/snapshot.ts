import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fromSystem, throwIfAborted, VlmR1Error } from "../errors/index.js";
import { makeFolder } from "../files/index.js";
import { fetchBlob } from "./blob.js";
import { RepositoryCache } from "./cache.js";
import { HubClient, type Listener } from "./client.js";
import { type RemoteFile, selectFiles, shardsOf, type Wanted } from "./files.js";
import { DEFAULT_REVISION, type HubName } from "./names.js";
import { partialBytes } from "./partial-file.js";
import { DownloadMeter, type DownloadProgress } from "./progress.js";
import type { HubSettings } from "./settings.js";
import { sideBySide } from "./side-by-side.js";

export interface FetchOptions extends Listener {
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/** Files that are fetched at a time. */
const WIDTH = 4;

/** The cache's folder of a repository with everything that `wanted` needs, fetched where it is missing. */
export async function fetchSnapshot(
  name: HubName,
  wanted: Wanted,
  settings: HubSettings,
  options: FetchOptions = {},
): Promise<string> {
  throwIfAborted(options.signal);
  const { repository, revision = DEFAULT_REVISION } = name;
  const cache = new RepositoryCache(settings.cache, repository);
  const kept = await cache.complete(revision, wanted);
  if (settings.offline) {
    if (kept !== undefined) return kept;
    throw notKept(name, settings);
  }
  // With a copy at hand nobody should wait for a network that is not there.
  const tries = kept === undefined ? settings.retry.questions : 1;
  const client = new HubClient(settings, repository, options);
  try {
    const commit = await client.commitOf(revision, tries);
    const files = await client.files(commit, tries);
    await new Download(repository, cache, commit, settings, options).fetch(files, wanted);
    await keepRef(cache, revision, commit, options);
    return cache.snapshot(commit);
  } catch (error) {
    const unreachable = error instanceof VlmR1Error && error.code === "ERR_NETWORK";
    if (kept === undefined || !unreachable) throw error;
    noticeOnce(kept, `${error.message}; going on with the copy of ${repository} in the cache`, options);
    return kept;
  }
}

/** What is missing of one commit. */
class Download {
  constructor(
    private readonly repository: string,
    private readonly cache: RepositoryCache,
    private readonly commit: string,
    private readonly settings: HubSettings,
    private readonly options: FetchOptions,
  ) {}

  async fetch(all: readonly RemoteFile[], wanted: Wanted): Promise<void> {
    const { settings, weights, index } = selectFiles(all, wanted, this.repository);
    await this.makeFolder();
    if (index !== undefined) {
      // How much there is to fetch is known only with it.
      await this.fetchFiles([index], undefined);
      weights.push(...shardsOf(await this.read(index), all, this.repository));
    }
    const files = [...settings, ...weights];
    await this.fetchFiles(files, this.options.onProgress);
    // A snapshot with weights counts as complete, so these get their names last.
    for (const file of files) await this.cache.link(this.commit, file);
    if (index !== undefined) await this.cache.link(this.commit, index);
  }

  private async read(file: RemoteFile): Promise<string> {
    const { cache, commit } = this;
    const path = (await cache.hasBlob(file)) ? cache.blob(file) : join(cache.snapshot(commit), file.path);
    return readFile(path, "utf8");
  }

  private async fetchFiles(files: readonly RemoteFile[], onProgress: FetchOptions["onProgress"]): Promise<void> {
    const missing: RemoteFile[] = [];
    for (const file of files) if (!(await this.isThere(file))) missing.push(file);
    if (missing.length === 0) return;
    const kept = new Map<string, number>();
    for (const file of missing) kept.set(file.path, await partialBytes(this.cache.blob(file)));
    await this.checkSpace(missing, kept);
    const { repository, cache, commit, settings, options } = this;
    const meter = new DownloadMeter(repository, missing, kept, onProgress);
    await sideBySide(missing, WIDTH, options.signal, async (file, signal) => {
      const client = new HubClient(settings, repository, { ...options, signal });
      await fetchBlob({ client, cache, settings, commit, file, meter, signal });
    });
  }

  private async isThere(file: RemoteFile): Promise<boolean> {
    return (await this.cache.hasBlob(file)) || (await this.cache.holds(this.commit, file));
  }

  private async makeFolder(): Promise<void> {
    try {
      await makeFolder(this.cache.blobs);
    } catch (error) {
      throw fromSystem(error, "make the folder", this.cache.blobs, CACHE_HINT);
    }
  }

  private async checkSpace(missing: readonly RemoteFile[], kept: ReadonlyMap<string, number>): Promise<void> {
    const wanted = missing.reduce((sum, { path, size }) => sum + size - (kept.get(path) ?? 0), 0);
    const free = await this.cache.freeBytes();
    if (free === undefined || wanted <= free) return;
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
    throw new VlmR1Error(
      "ERR_IO",
      `${this.repository} needs ${gigabytes(wanted)} in ${this.cache.folder}, but ${gigabytes(free)} are free`,
      { hint: CACHE_HINT },
    );
  }
}

const CACHE_HINT = "Free space there, or set HF_HUB_CACHE to a folder that can be written.";

function notKept({ repository, revision = DEFAULT_REVISION }: HubName, { cache }: HubSettings): VlmR1Error {
  const message = `${repository} at ${revision} is not complete in ${cache}, and HF_HUB_OFFLINE forbids to fetch it`;
  return new VlmR1Error("ERR_OFFLINE", message, {
    hint: "Unset HF_HUB_OFFLINE, name a folder, or point HF_HOME or HF_HUB_CACHE at the cache that has it.",
  });
}

/** The model is whole without it: only a later run without a network would miss it. */
async function keepRef(
  cache: RepositoryCache,
  revision: string,
  commit: string,
  { onNotice }: Listener,
): Promise<void> {
  try {
    await cache.setRef(revision, commit);
  } catch (error) {
    onNotice?.(`${(error as Error).message}; without a network this model will not be found`);
  }
}

const noticed = new Set<string>();

function noticeOnce(key: string, message: string, { onNotice }: Listener): void {
  if (!noticed.has(key)) onNotice?.(message);
  noticed.add(key);
}
