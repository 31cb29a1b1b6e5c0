import type { DownloadProgress } from "../hub/index.js";
import { formatDuration } from "./format.js";

/** Puts downloads into words, one repository after the other. */
export class DownloadText {
  private startedAt: number | undefined;
  private startedBytes = 0;
  private repository = "";
  private ended = false;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** One line for a terminal, to be written over: sum, speed, time left, and the file that moved last. */
  line(progress: DownloadProgress): string {
    const { bytes, totalBytes, files, totalFiles, file, fileBytes, fileTotalBytes } = progress;
    const rate = this.rate(progress);
    const left = rate > 0 ? `  ${formatDuration((1000 * (totalBytes - bytes)) / rate)} left` : "";
    const percent = (part: number, whole: number) => `${Math.floor((100 * part) / Math.max(1, whole))} %`;
    return (
      `${percent(bytes, totalBytes)}  ${formatBytes(bytes)} of ${formatBytes(totalBytes)}  ${formatBytes(rate)}/s${left}` +
      `  ${files}/${totalFiles} files  ${file} ${percent(fileBytes, fileTotalBytes)}`
    );
  }

  /** A line to keep, at the start and at the end; undefined in between. */
  milestone(progress: DownloadProgress): string | undefined {
    const { repository, files, totalFiles, bytes, totalBytes } = progress;
    if (this.repository !== repository) {
      this.repository = repository;
      this.ended = false;
      this.startedAt = undefined;
      this.rate(progress);
      const kept = bytes > 0 ? `, ${formatBytes(bytes)} of it are there` : "";
      return `fetching ${repository}: ${totalFiles} files, ${formatBytes(totalBytes)}${kept}`;
    }
    if (this.ended || files < totalFiles) return undefined;
    this.ended = true;
    return `fetched ${repository} in ${formatDuration(this.now() - (this.startedAt ?? 0))}`;
  }

  /** Bytes per second since the first report. */
  private rate({ bytes }: DownloadProgress): number {
    const now = this.now();
    if (this.startedAt === undefined) {
      this.startedAt = now;
      this.startedBytes = bytes;
    }
    return Math.max(0, (1000 * (bytes - this.startedBytes)) / Math.max(1, now - this.startedAt));
  }
}

/** "512 B", "4.0 kB", "7.5 GB". */
function formatBytes(value: number): string {
  for (const [unit, size] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ] as const) {
    if (value >= size) return `${(value / size).toFixed(1)} ${unit}`;
  }
  return `${Math.round(value)} B`;
}
