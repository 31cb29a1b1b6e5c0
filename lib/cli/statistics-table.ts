import type { DataStatistics, Histogram } from "../data/statistics.js";
import { excerpt, formatTable } from "../report/format.js";

/** Names that are printed. */
const COMMON = 8;
/** Characters of a name. */
const NAME = 30;
/** Heights of bars; a bar with nothing in it is a dot. */
const BARS = "▁▂▃▄▅▆▇█";

/** A data set's statistics for people: a line for each. Reports and --json have the numbers of every bar. */
export function statisticsLines(statistics: DataStatistics): string[] {
  const { pictures, questions, answers, commonAnswers, numbers, questionLength, answerLength } = statistics;
  const common = commonAnswers.slice(0, COMMON).map(({ name, count }) => `${excerpt(name, NAME)} (${count})`);
  return [
    `${pictures} different pictures, ${questions} questions, ${answers} answers`,
    ...(common.length === 0 ? [] : [`most frequent answers: ${common.join(", ")}`]),
    ...formatTable([
      ...histogramRow("numbers in the answers", numbers),
      ...histogramRow("characters of a question", questionLength),
      ...histogramRow("characters of an answer", answerLength),
    ]),
  ];
}

/** Its bars, between its edges. */
function histogramRow(title: string, histogram: Histogram | undefined): string[][] {
  if (histogram === undefined) return [];
  const { edges, counts } = histogram;
  const most = Math.max(...counts);
  const bars = counts.map((count) => (count === 0 ? "·" : (BARS[Math.ceil((count / most) * BARS.length) - 1] ?? "")));
  return [[title, String(edges[0]), bars.join(""), String(edges.at(-1))]];
}
