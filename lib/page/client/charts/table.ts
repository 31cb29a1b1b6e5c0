import { h } from "../base/dom.js";
import { formatPercent, formatValue } from "../base/text.js";
import type { ChartSpec } from "./catalog.js";
import type { ChartData } from "./series.js";

/** What a chart draws, as numbers: a row per step. */
export function seriesTable({ title, unit }: ChartSpec, { steps, series }: ChartData): HTMLElement {
  const cell = (value: number | null | undefined) =>
    h("td", {}, unit === "share" && typeof value === "number" ? formatPercent(value) : formatValue(value));
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Step"),
    ...series.map(({ label }) => h("th", { scope: "col" }, label)),
  );
  const rows = steps.map((step, index) =>
    h("tr", {}, h("th", { scope: "row" }, step), ...series.map(({ raw }) => cell(raw[index]))),
  );
  const table = h("table", {}, h("caption", { class: "unseen" }, title), h("thead", {}, head), h("tbody", {}, ...rows));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}, as a table` }, table);
}
