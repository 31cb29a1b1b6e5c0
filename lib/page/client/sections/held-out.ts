import type { HeldOut } from "../../page-data.js";
import { fill, h, svg } from "../base/dom.js";
import { foreign } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { counted, formatDifference, formatInterval, formatScore, titled } from "../base/text.js";
import { NEUTRAL, verdictOf } from "./key-numbers.js";
import { frame, type Section, touches } from "./section.js";

type Score = HeldOut["scores"][number];

function verdictWords(score: Score): string {
  const { low, high } = score.difference;
  if (low <= 0 && high >= 0) return "● no clear difference";
  const isMore = low > 0;
  if (NEUTRAL.has(score.name)) return isMore ? "● more" : "● fewer";
  return isMore ? "▲ better" : "▼ worse";
}

/** Scores before and after, with the interval of their difference. */
export function heldOut(store: Store): Section {
  const body = h("div", { class: "stack" });
  const element = frame("held-out", "Held-out data");
  element.append(body);
  return {
    ...{ id: "held-out", title: "Held-out", element },
    update(topics) {
      const shown = store.data.runs.filter((run) => run.heldOut && run.heldOut.scores.length > 0);
      if (!touches(topics)) return shown.length > 0;
      const several = store.data.runs.length > 1;
      const blocks = shown.map((run) => [
        several && h("h3", {}, foreign(run.name)),
        comparison(run.heldOut as HeldOut),
      ]);
      fill(body, ...blocks.flat());
      return shown.length > 0;
    },
  };
}

function comparison({ labels, rows, scores }: HeldOut): HTMLElement {
  const note =
    `${counted(rows, "question")}, each answered by both. The interval holds the true difference in 95 of 100 cases ` +
    "(paired bootstrap over the questions); where it includes 0, the difference may be chance.";
  const head = ["Score", titled(labels[0]), titled(labels[1]), "Difference", "95 % interval", "", "Verdict"];
  const table = h(
    "table",
    { class: "comparison" },
    h("caption", { class: "unseen" }, `Held-out scores: ${labels.join(" and ")}`),
    h(
      "thead",
      {},
      h("tr", {}, ...head.map((text) => (text ? h("th", { scope: "col" }, text) : h("td", { "aria-hidden": "true" })))),
    ),
    h("tbody", {}, ...scores.map((score) => row(score, extentOf(scores, scaleOf(score))))),
  );
  const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": "Held-out scores" };
  return h("div", { class: "panel" }, h("div", region, table), h("p", { class: "note" }, note));
}

function row(score: Score, extent: [number, number]): HTMLElement {
  const { name, unit, first, second, difference } = score;
  const verdict = verdictOf(score);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, foreign(titled(name))),
    h("td", { class: "number" }, formatScore(first, unit)),
    h("td", { class: "number strong" }, formatScore(second, unit)),
    h("td", { class: `number change ${verdict}` }, formatDifference(difference.value, unit)),
    h("td", { class: "number quiet" }, formatInterval(difference, unit)),
    h("td", { class: "whisker-cell" }, whisker(score, extent)),
    h("td", { class: `change ${verdict}` }, verdictWords(score)),
  );
}

/** Shares are drawn to one scale, and rewards; other numbers to their own. */
function scaleOf({ name, unit }: Score): string {
  return unit === "share" || /^rewards?(\/|$)/.test(name) ? unit : name;
}

/** From the least to the greatest end of the intervals of a scale, with 0. */
function extentOf(scores: readonly Score[], scale: string): [number, number] {
  const ends = scores
    .filter((score) => scaleOf(score) === scale)
    .flatMap(({ difference: { low, high } }) => [low, high]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const pad = Math.max(1e-9, high - low) * 0.08;
  return [low - pad, high + pad];
}

const WIDTH = 180;

function whisker(score: Score, [from, to]: [number, number]): SVGElement {
  const { value, low, high } = score.difference;
  const x = (at: number) => (WIDTH * (at - from)) / (to - from);
  const size = { viewBox: `0 0 ${WIDTH} 24`, width: WIDTH, height: 24 };
  return svg(
    "svg",
    { class: `whisker ${verdictOf(score)}`, ...size, "aria-hidden": "true" },
    svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: 24 }),
    svg("line", { class: "range", x1: x(low), x2: x(high), y1: 12, y2: 12 }),
    ...[low, high].map((end) => svg("line", { class: "range", x1: x(end), x2: x(end), y1: 8, y2: 16 })),
    svg("circle", { cx: x(value), cy: 12, r: 4.5 }),
  );
}
