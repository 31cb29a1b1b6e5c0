import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Wanted } from "../../lib/hub/files.js";
import { parseHubName } from "../../lib/hub/names.js";
import type { DownloadProgress } from "../../lib/hub/progress.js";
import type { HubSettings } from "../../lib/hub/settings.js";
import { fetchSnapshot } from "../../lib/hub/snapshot.js";
import type { HubServer } from "./hub-server.js";
import { temporaryFolder } from "./temporary.js";

/** A cache of its own, with the settings and calls that tests need. */
export class TestCache {
  readonly folder = temporaryFolder();
  readonly notices: string[] = [];
  readonly progress: DownloadProgress[] = [];

  constructor(private readonly hub: HubServer) {}

  /** Retries without waiting, unless told otherwise. */
  settings(over: Partial<HubSettings> = {}): HubSettings {
    return {
      endpoint: this.hub.url,
      cache: this.folder,
      token: undefined,
      offline: false,
      timeout: 10_000,
      retry: { questions: 3, transfers: 4, firstWait: 1, longestWait: 4, longestAskedWait: 2000 },
      ...over,
    };
  }

  fetch(
    name: string,
    over: Partial<HubSettings> = {},
    options: { wanted?: Wanted; signal?: AbortSignal; onProgress?: (progress: DownloadProgress) => void } = {},
  ): Promise<string> {
    const { wanted = "model", signal, onProgress } = options;
    return fetchSnapshot(parseHubName(name), wanted, this.settings(over), {
      signal,
      onNotice: (message) => this.notices.push(message),
      onProgress: (progress) => {
        this.progress.push(progress);
        onProgress?.(progress);
      },
    });
  }

  path(repository: string, ...parts: string[]): string {
    return join(this.folder, `models--${repository.replace("/", "--")}`, ...parts);
  }

  /** Names in `blobs`, sorted. */
  blobs(repository: string): string[] {
    const folder = this.path(repository, "blobs");
    return existsSync(folder) ? readdirSync(folder).sort() : [];
  }

  partials(repository: string): string[] {
    return this.blobs(repository).filter((name) => name.endsWith(".incomplete"));
  }
}

export function filesIn(folder: string): Record<string, Buffer> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
}

export function isLink(path: string): boolean {
  return lstatSync(path).isSymbolicLink();
}

/** What transformers would publish of a golden model. */
export function modelFiles(folder: string): Record<string, Buffer> {
  const files = Object.entries(filesIn(folder));
  return Object.fromEntries(files.filter(([name]) => !/^(cases|gradients|adamw|prompts)\./.test(name)));
}
