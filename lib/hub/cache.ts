import { copyFile, link, readFile, rename, rm, stat, statfs, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getRepoFolderName } from "@huggingface/hub";
import { fromSystem } from "../errors/index.js";
import { makeFolder } from "../files/index.js";
import {
  ADAPTER_FILE,
  INDEX_FILE,
  type RemoteFile,
  SINGLE_FILE,
  selectFiles,
  shardNames,
  type Wanted,
} from "./files.js";
import { isCommit } from "./names.js";

/**
 * One repository in the cache that all Hugging Face libraries share: `blobs/<checksum>` holds contents,
 * `snapshots/<commit>/<path>` links to them, `refs/<branch>` names a commit.
 */
export class RepositoryCache {
  readonly folder: string;
  readonly blobs: string;

  constructor(
    cache: string,
    private readonly repository: string,
  ) {
    this.folder = join(cache, getRepoFolderName({ type: "model", name: repository }));
    this.blobs = join(this.folder, "blobs");
  }

  blob(file: RemoteFile): string {
    return join(this.blobs, file.blob);
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The commit that a revision stood for when it was last fetched. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const commit = (await readText(join(this.folder, "refs", revision)))?.trim();
    return commit !== undefined && isCommit(commit) ? commit : undefined;
  }

  async setRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return;
    const path = join(this.folder, "refs", revision);
    await makeFolder(dirname(path));
    await replace(path, (beside) => writeFile(beside, commit));
  }

  /** Whether the snapshot holds the file; where links are impossible there may be no blob of it. */
  async holds(commit: string, { path, size }: RemoteFile): Promise<boolean> {
    return (await sizeOf(join(this.snapshot(commit), path))) === size;
  }

  async hasBlob(file: RemoteFile): Promise<boolean> {
    return (await sizeOf(this.blob(file))) === file.size;
  }

  /** Gives a blob its name in a snapshot: a relative link, so that the cache can be moved, or else a copy. */
  async link(commit: string, file: RemoteFile): Promise<void> {
    if (await this.holds(commit, file)) return;
    const path = join(this.snapshot(commit), file.path);
    await makeFolder(dirname(path));
    const blob = this.blob(file);
    await replace(path, async (beside) => {
      try {
        await symlink(relative(dirname(path), blob), beside);
      } catch {
        // Windows lets only some accounts make links; a second name of the same file costs no space either.
        await link(blob, beside).catch(() => copyFile(blob, beside));
      }
    });
  }

  /** The folder of a revision, if nothing that loading needs is missing; undefined otherwise. */
  async complete(revision: string, wanted: Wanted): Promise<string | undefined> {
    const commit = await this.commitOf(revision);
    if (commit === undefined) return undefined;
    const folder = this.snapshot(commit);
    const has = async (names: readonly string[]) =>
      (await Promise.all(names.map((name) => sizeOf(join(folder, name))))).every((size) => size !== undefined);
    const listed = await this.listed(commit, wanted);
    if (listed !== undefined && !(await has(listed))) return undefined;
    if (wanted === "tokenizer") return (await has(["tokenizer.json"])) ? folder : undefined;
    if (await has(["adapter_config.json", ADAPTER_FILE])) return folder;
    if (!(await has(["config.json", "tokenizer.json"]))) return undefined;
    if (await has([SINGLE_FILE])) return folder;
    const shards = shardNames((await readText(join(folder, INDEX_FILE))) ?? "");
    return shards !== undefined && (await has(shards)) ? folder : undefined;
  }

  /** Settings files of a commit by the list that Python's library may have kept; it stops in the middle of downloads. */
  private async listed(commit: string, wanted: Wanted): Promise<string[] | undefined> {
    const text = await readText(join(this.folder, "trees", `${commit}.json`));
    try {
      const { files } = JSON.parse(text ?? "") as { files: Record<string, { size: number }> };
      const remote = Object.entries(files).map(([path, { size }]) => ({ path, size, blob: "" }));
      return selectFiles(remote, wanted, this.repository).settings.map(({ path }) => path);
    } catch {
      return undefined;
    }
  }

  /** Bytes that the file system still takes; undefined where it does not say. */
  async freeBytes(): Promise<number | undefined> {
    try {
      const { bavail, bsize, blocks } = await statfs(this.blobs);
      return blocks === 0 ? undefined : bavail * bsize;
    } catch {
      return undefined;
    }
  }
}

export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fromSystem(error, "read", path);
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fromSystem(error, "read", path);
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

/** Makes a file beside and renames it, so that others see the old one or the whole new one. */
async function replace(path: string, make: (beside: string) => Promise<void>): Promise<void> {
  const beside = `${path}.${process.pid}-${Math.random().toString(36).slice(2, 10)}.tmp`;
  try {
    await make(beside);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw fromSystem(error, "write", path);
  }
}
