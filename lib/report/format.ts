/** "1.5 h", "3 min 20 s", "12 s"; from milliseconds. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** "31 %", "2.4 %", "0.22 %"; from a share of 1. */
export function formatShare(share: number): string {
  const percent = 100 * share;
  return `${percent.toFixed(percent >= 10 ? 0 : percent >= 1 ? 1 : 2)} %`;
}

/** "83.3 %", from a share of 1: always with one decimal, for columns. */
export function formatPercent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** "+0.250", "−3.6 %": a change in the words of `text`, which gets its size. */
export function formatChange(value: number, text: (size: number) => string): string {
  return `${value < 0 ? "−" : "+"}${text(Math.abs(value))}`;
}

/** The text on one line, and at most `length` characters of it. Models may write what would move a terminal's cursor. */
export function excerpt(text: string, length = Number.POSITIVE_INFINITY): string {
  const line = text
    .replace(/\s*\n\s*/g, " ⏎ ")
    .replace(/\t/g, " ")
    .replace(/\p{Cc}/gu, "\ufffd");
  const characters = [...line];
  if (characters.length > length) return `${characters.slice(0, length - 1).join("")}…`;
  return line === "" ? "(nothing)" : line;
}

/** "9.22 GB", "435.5 MB", "396 kB". */
export function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

/** "3.1 M", "3.75 B", "512". */
export function formatNumber(value: number): string {
  for (const [unit, size] of [
    ["B", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ] as const) {
    if (value >= size) return `${(value / size).toFixed(unit === "B" ? 2 : 1)} ${unit}`;
  }
  return String(value);
}

/**
 * Pads to a width in terminal columns; Chinese, Japanese and Korean characters and emoji take two.
 */
export function padColumns(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columnsOf(text)));
}

export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += WIDE.test(character) ? 2 : 1;
  return columns;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Lines of a table: columns as wide as their widest cell, numbers to the right. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, columnsOf(cell));
  return rows.map((row) =>
    row
      .map((cell, i) =>
        /^[+−-]?[\d.]+( %)?$/.test(cell) ? padLeft(cell, widths[i] ?? 0) : padColumns(cell, widths[i] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}

function padLeft(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - columnsOf(text))) + text;
}
