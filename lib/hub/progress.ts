/** How far the files of one repository are. What an earlier run left behind counts as done. */
export interface DownloadProgress {
  /** "org/name". */
  repository: string;
  /** Bytes of all files that were missing. */
  bytes: number;
  totalBytes: number;
  files: number;
  totalFiles: number;
  /** The file that moved last. */
  file: string;
  fileBytes: number;
  fileTotalBytes: number;
}

/** Reports at most so often, in milliseconds: a fast connection delivers thousands of pieces in a second. */
const INTERVAL = 100;

/** Adds up the bytes of files that are fetched side by side. */
export class DownloadMeter {
  private readonly bytesOf: Map<string, number>;
  private readonly done = new Set<string>();
  private readonly totalBytes: number;
  private reportedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly repository: string,
    private readonly files: readonly { path: string; size: number }[],
    /** By path. */
    kept: ReadonlyMap<string, number>,
    private readonly report: ((progress: DownloadProgress) => void) | undefined,
  ) {
    this.totalBytes = files.reduce((sum, { size }) => sum + size, 0);
    this.bytesOf = new Map(kept);
    if (files[0] !== undefined) this.tell(files[0], performance.now());
  }

  /** `bytes` of the file are there; fewer than before where it had to begin again. */
  set(file: { path: string; size: number }, bytes: number): void {
    this.bytesOf.set(file.path, bytes);
    const now = performance.now();
    if (now - this.reportedAt >= INTERVAL) this.tell(file, now);
  }

  /** The file is whole and has its name. */
  finish(file: { path: string; size: number }): void {
    this.bytesOf.set(file.path, file.size);
    this.done.add(file.path);
    this.tell(file, performance.now());
  }

  private tell({ path, size }: { path: string; size: number }, now: number): void {
    this.reportedAt = now;
    this.report?.({
      repository: this.repository,
      bytes: [...this.bytesOf.values()].reduce((sum, bytes) => sum + bytes, 0),
      totalBytes: this.totalBytes,
      files: this.done.size,
      totalFiles: this.files.length,
      file: path,
      fileBytes: this.bytesOf.get(path) ?? 0,
      fileTotalBytes: size,
    });
  }
}
