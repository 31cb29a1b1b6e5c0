import { cpus, loadavg } from "node:os";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The middle of the ratios of what was measured side by side: a slow moment of the machine hits both. */
export function ratios(values, base) {
  const each = values.map((value, i) => value / base[i]).sort((a, b) => a - b);
  return { median: median(each), min: each[0], max: each.at(-1) };
}

/** Lines of columns; the first row is the head. Numbers stand right. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join("  "),
  );
  return [lines[0], "-".repeat(lines[0].length), ...lines.slice(1)].join("\n");
}

/** What else ran on the machine, and on what it ran. */
export function machine() {
  const list = cpus();
  return { cpu: list[0]?.model.trim() ?? "unknown", cores: list.length, load: loadavg().map((x) => +x.toFixed(2)) };
}

/** Three digits of a rate; nothing where there is none. */
export function figure(value) {
  if (!(value > 0)) return "";
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

export const percent = (share) => (share > 0 ? `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %` : "");

export const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(0);

export const gib = (bytes) => `${(bytes / 1024 ** 3).toFixed(2)} GiB`;
