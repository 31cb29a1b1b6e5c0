import type { DataStatistics, Histogram } from "../../page-data.js";
import { fill, h, svg } from "../base/dom.js";
import { foreign, stat } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { formatValue } from "../base/text.js";
import { frame, type Section, touches } from "./section.js";

const MAX_ANSWERS = 8;

/** What the run learned from. */
export function data(store: Store): Section {
  const body = h("div", { class: "stack" });
  const element = frame("data", "Data");
  element.append(body);
  return {
    ...{ id: "data", title: "Data", element },
    update(topics) {
      const { data: statistics } = store.run;
      if (touches(topics, "selection")) fill(body, ...(statistics ? parts(statistics) : []));
      return statistics !== undefined;
    },
  };
}

function parts(statistics: DataStatistics): HTMLElement[] {
  const { rows, pictures, questions, answers, commonAnswers } = statistics;
  const counts: [string, number][] = [
    ["Rows", rows],
    ["Pictures", pictures],
    ["Questions", questions],
    ["Answers", answers],
  ];
  const histograms: [string, Histogram | undefined][] = [
    ["Numbers in the answers", statistics.numbers],
    ["Characters of a question", statistics.questionLength],
    ["Characters of an answer", statistics.answerLength],
  ];
  const drawn = histograms.flatMap(([title, bars]) => (bars && bars.counts.length > 0 ? [histogram(title, bars)] : []));
  return [
    h("dl", { class: "stats compact" }, ...counts.map(([name, count]) => stat(name, count.toLocaleString("en")))),
    h("div", { class: "panels" }, ...(commonAnswers.length > 0 ? [common(commonAnswers)] : []), ...drawn),
  ];
}

function common(answers: DataStatistics["commonAnswers"]): HTMLElement {
  const most = Math.max(...answers.map(({ count }) => count));
  const rows = answers
    .slice(0, MAX_ANSWERS)
    .map(({ name, count }) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, foreign(name, 60)),
        h("td", { class: "bar-cell" }, h("progress", { class: "bar", max: most, value: count, "aria-hidden": "true" })),
        h("td", { class: "number" }, count.toLocaleString("en")),
      ),
    );
  const head = h("tr", { class: "unseen" }, ...["Answer", "", "Rows"].map((text) => h("td", {}, text)));
  const table = h("table", { class: "bars" }, h("thead", {}, head), h("tbody", {}, ...rows));
  return h("div", { class: "panel" }, h("h3", {}, "Most frequent answers"), table);
}

const [WIDTH, HEIGHT] = [320, 110];

function histogram(title: string, { edges, counts }: Histogram): HTMLElement {
  const most = Math.max(1, ...counts);
  const width = WIDTH / counts.length;
  const bars = counts.map((count, index) => {
    const height = (HEIGHT * count) / most;
    const shape = { x: index * width + 0.75, y: HEIGHT - height, width: Math.max(0.5, width - 1.5), height, rx: 1.5 };
    const range = `${formatValue(edges[index])} to ${formatValue(edges[index + 1])}`;
    return svg("rect", shape, svg("title", {}, `${range}: ${count}`));
  });
  const peak = counts.indexOf(Math.max(...counts));
  const label =
    `${title}: from ${formatValue(edges[0])} to ${formatValue(edges.at(-1))}, ` +
    `most often ${formatValue(edges[peak])} to ${formatValue(edges[peak + 1])}`;
  return h(
    "div",
    { class: "panel" },
    h("h3", {}, title),
    svg("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, ...bars),
    h("div", { class: "ends number" }, h("span", {}, formatValue(edges[0])), h("span", {}, formatValue(edges.at(-1)))),
  );
}
