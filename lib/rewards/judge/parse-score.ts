import { parseJsonAnswer } from "../json-text.js";
import { halfWidth } from "../plain.js";

const NUMBER = String.raw`[+-]?(?:\d{1,9}(?:\.\d{1,12})?|\.\d{1,12})`;
const WHOLE = new RegExp(String.raw`^(${NUMBER})(?: ?\/ ?\d{1,9})?\.?$`);
const LABELLED = new RegExp(
  String.raw`\b(?:score|rating|reward|评分|得分|分数)["'*]{0,3}\s{0,3}(?:is|[:=：]|为)\s{0,3}["'*]{0,3}(${NUMBER})`,
  "gi",
);
const ANY = new RegExp(String.raw`(?<![\w.])${NUMBER}(?![\w])`, "g");

/**
 * The score in a judge's reply: a bare number ("0.8", "8/10"), JSON with a `score`, the last "score: 0.8" of a text, or
 * the only number of a text. Thoughts (`<think>…</think>`) are skipped. Undefined where there is none, or it is not
 * between 0 and `max`.
 */
export function parseScore(reply: string, max: number): number | undefined {
  const thought = reply.lastIndexOf("</think>");
  const text = halfWidth(thought < 0 ? reply : reply.slice(thought + "</think>".length)).trim();
  const score = bare(text) ?? fromJson(text) ?? labelled(text) ?? only(text);
  return score !== undefined && score >= 0 && score <= max ? score : undefined;
}

function bare(text: string): number | undefined {
  const match = text.length > 40 ? null : WHOLE.exec(text.replace(/\*/g, ""));
  return match === null ? undefined : Number(match[1]);
}

function fromJson(text: string): number | undefined {
  const start = text.lastIndexOf("{");
  const end = text.indexOf("}", start);
  for (const source of [text, start >= 0 && end > start ? text.slice(start, end + 1) : ""]) {
    const value = parseJsonAnswer(source)?.value;
    const score = typeof value === "object" && value !== null ? (value as { score?: unknown }).score : value;
    if (typeof score === "number") return score;
    if (typeof score === "string") return bare(score.trim());
  }
  return undefined;
}

function labelled(text: string): number | undefined {
  const last = [...text.matchAll(LABELLED)].at(-1);
  return last === undefined ? undefined : Number(last[1]);
}

function only(text: string): number | undefined {
  const [first, second] = text.match(ANY) ?? [];
  return first === undefined || second !== undefined ? undefined : Number(first);
}
