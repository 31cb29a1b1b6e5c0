import type { Interval } from "../../page-data.js";

const MINUS = "\u2212";

/** "1.988", "0.00021", "2.1e-6", "7,435", "1.24 M"; a dash where there is none. */
export function formatValue(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-4) return trimmed(value.toExponential(2)).replace("-", MINUS);
  if (size >= 1e6) return `${minus((value / 1e6).toFixed(2))} M`;
  if (size >= 1000) return minus(Math.round(value).toLocaleString("en"));
  if (Number.isInteger(value)) return minus(String(value));
  return minus(value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : size >= 0.01 ? 3 : 5));
}

/** "28.6 %"; all and nothing without decimals: "100 %". */
export function formatPercent(share: number): string {
  return `${minus((100 * share).toFixed(share === 0 || share === 1 ? 0 : 1))} %`;
}

/** By what a score counts in. */
export function formatScore(value: number, unit: "share" | "number"): string {
  return unit === "share" ? formatPercent(value) : minus(value.toFixed(3));
}

/** "+3.6 points", "−0.012". */
export function formatDifference(value: number, unit: "share" | "number"): string {
  const text = unit === "share" ? (100 * Math.abs(value)).toFixed(1) : Math.abs(value).toFixed(3);
  // What rounds to nothing has no sign.
  const sign = Number(text) === 0 ? "±" : value < 0 ? MINUS : "+";
  return `${sign}${text}${unit === "share" ? " points" : ""}`;
}

/** "−0.01 to +0.12". */
export function formatInterval({ low, high }: Interval, unit: "share" | "number"): string {
  const plain = (value: number) => formatDifference(value, unit).replace(" points", "");
  return `${plain(low)} to ${plain(high)}`;
}

export function formatReward(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : minus(value.toFixed(2));
}

/** "rewards/content" → "Rewards / content", "right name" → "Right name". */
export function titled(name: string): string {
  const text = name.replaceAll("_", " ").replaceAll("/", " / ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "1 question", "192 questions". */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}

const UNSEEN = /(?![\n\t])[\p{Cc}\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

/**
 * Characters that cannot be seen, or that turn the direction of what follows, shown as what they are: a reward that is
 * earned by them would stay a riddle.
 */
export function visible(text: string): string {
  return text.replace(UNSEEN, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** The beginning of a text that may be very long. */
export function clipped(text: string, length: number): string {
  if (text.length <= length) return text;
  // A pair of surrogates stays together.
  const end = /[\ud800-\udbff]/.test(text.charAt(length - 1)) ? length - 1 : length;
  return `${text.slice(0, end)}…`;
}

function minus(text: string): string {
  return text.replace("-", MINUS);
}

function trimmed(text: string): string {
  return text.replace(/\.?0+e/, "e");
}
