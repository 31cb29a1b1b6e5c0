import { describe, expect, it } from "vitest";
import type { DownloadProgress } from "../../../lib/hub/index.js";
import { DownloadText, TerminalReporter } from "../../../lib/report/index.js";

const at = (bytes: number, files = 0): DownloadProgress => ({
  repository: "org/name",
  bytes,
  totalBytes: 8e9,
  files,
  totalFiles: 2,
  file: "model.safetensors",
  fileBytes: bytes / 2,
  fileTotalBytes: 8e9,
});

describe("a download in words", () => {
  it("says speed and time left by what came since the start", () => {
    let time = 0;
    const text = new DownloadText(() => time);
    expect(text.milestone(at(4e9))).toBe("fetching org/name: 2 files, 8.0 GB, 4.0 GB of it are there");
    time = 10_000;
    expect(text.milestone(at(5e9, 1))).toBeUndefined();
    expect(text.line(at(5e9, 1))).toBe(
      "62 %  5.0 GB of 8.0 GB  100.0 MB/s  30 s left  1/2 files  model.safetensors 31 %",
    );
    time = 40_000;
    expect(text.milestone(at(8e9, 2))).toBe("fetched org/name in 40 s");
    expect(text.milestone(at(8e9, 2))).toBeUndefined();
  });

  it("knows no speed where a file began again", () => {
    const text = new DownloadText(() => 0);
    text.milestone(at(500));
    expect(text.line(at(20))).toBe("0 %  20 B of 8.0 GB  0 B/s  0/2 files  model.safetensors 0 %");
  });
});

describe("on the screen", () => {
  it.each([
    [true, "fetching org/name: 2 files, 8.0 GB\n\r50 %  4.0 GB of 8.0 \u001b[K\r\u001b[2Kfetched org/name in 5 s\n"],
    [false, "fetching org/name: 2 files, 8.0 GB\nfetched org/name in 5 s\n"],
  ])("terminal %s", (isTTY, expected) => {
    let shown = "";
    let time = 0;
    const screen = { write: (text: string) => (shown += text), isTTY, columns: 21 };
    const terminal = new TerminalReporter({ screen, loggingSteps: 1, now: () => time });
    terminal.onDownload(at(0));
    time = 5000;
    terminal.onDownload(at(4e9));
    terminal.onDownload(at(8e9, 2));
    expect(shown).toBe(expected);
  });
});
