import type { DataStatistics, Histogram } from "../data/statistics.js";
import { excerpt, formatTable } from "../report/format.js";

/** Names that are printed. */
const COMMON = 8;
/** Characters of a name. */
const NAME = 30;
/** Characters of the longest bar. */
const BAR = 40;

/** A data set's statistics for people, with bars of characters. */
export function statisticsLines(statistics: DataStatistics): string[] {
  const { rows, pictures, questions, answers, commonAnswers } = statistics;
  const counts = [
    ["rows", String(rows)],
    ["pictures", String(pictures)],
    ["different questions", String(questions)],
    ["different answers", String(answers)],
  ];
  const common = commonAnswers.slice(0, COMMON).map(({ name, count }) => `${excerpt(name, NAME)} (${count})`);
  return [
    ...formatTable(counts),
    ...(common.length === 0 ? [] : [`most frequent answers: ${common.join(", ")}`]),
    ...histogramLines("numbers in the answers", statistics.numbers),
    ...histogramLines("characters of a question", statistics.questionLength),
    ...histogramLines("characters of an answer", statistics.answerLength),
  ];
}

/** A line per bar: from its lower edge on. */
export function histogramLines(title: string, histogram: Histogram | undefined): string[] {
  if (histogram === undefined) return [];
  const { edges, counts } = histogram;
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  const rows = counts.map((count, index) => [
    String(edges[index]),
    "–",
    String(edges[index + 1]),
    String(count),
    "█".repeat(count === 0 ? 0 : Math.max(1, Math.round((BAR * count) / most))),
  ]);
  return ["", title, ...formatTable(rows).map((line) => `  ${line}`)];
}
