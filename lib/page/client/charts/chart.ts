import type uPlot from "uplot";
import type { PageRun } from "../../page-data.js";
import { fill, h, newId } from "../base/dom.js";
import { formatPercent, formatValue } from "../base/text.js";
import type { ChartSpec } from "./catalog.js";
import { legendItem } from "./legend.js";
import { makePlot, plotData } from "./plot.js";
import { type ChartData, chartData, type Series, summaryOf, valueAt } from "./series.js";
import { seriesTable } from "./table.js";

const HEIGHT = { wide: 300, normal: 190 };

/** What all charts of the page have in common. */
export interface ChartView {
  smoothing: number;
  /** Steps that are shown; all of them: null. */
  range: { from: number; to: number } | null;
}

export interface ChartActions {
  /** The cursor is at a step, or gone. */
  onStep(step: number | null, source: Chart): void;
  onRange(range: ChartView["range"]): void;
}

/** A figure: caption, legend with values, the plot, and the same as a table. */
export class Chart {
  readonly element: HTMLElement;
  private readonly legend = h("ul", { class: "legend" });
  private readonly holder = h("div", { class: "plot", tabindex: 0, role: "slider" });
  private readonly table = h("div", { class: "chart-table", hidden: true });
  private readonly logButton: HTMLButtonElement;
  private readonly tableButton: HTMLButtonElement;
  private readonly hidden = new Set<string>();
  private values: HTMLElement[] = [];
  private plot: uPlot | null = null;
  private shape = "";
  private logarithmic = false;
  private index: number | null = null;
  private data: ChartData = { steps: [], series: [] };
  private runs: readonly PageRun[] = [];
  private view: ChartView = { smoothing: 0, range: null };

  constructor(
    private readonly spec: ChartSpec,
    private readonly actions: ChartActions,
  ) {
    const toggle = (text: string, label: string, action: () => void) =>
      h(
        "button",
        { type: "button", class: "small", "aria-pressed": "false", "aria-label": label, onclick: action },
        text,
      );
    this.logButton = toggle("Log", `Logarithmic scale: ${spec.title}`, () => this.toggleLog());
    this.tableButton = toggle("Table", `Show as a table: ${spec.title}`, () => this.toggleTable());
    const captionId = newId("chart");
    const caption = h(
      "figcaption",
      {},
      h("h3", { id: captionId }, spec.title),
      spec.hint && h("p", { class: "hint" }, spec.hint),
    );
    const tools = h("div", { class: "chart-tools" }, this.logButton, this.tableButton);
    this.element = h(
      "figure",
      { class: spec.wide ? "chart wide" : "chart", "data-chart": spec.id },
      h("div", { class: "chart-head" }, caption, tools),
      ...[this.legend, this.holder, this.table],
    );
    this.holder.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.resize()).observe(this.holder);
  }

  update(runs: readonly PageRun[], view: ChartView): void {
    this.runs = runs;
    this.view = view;
    this.draw();
  }

  /** After a change of the colours. */
  redraw(): void {
    this.shape = "";
    this.draw();
  }

  /** Shows the values of a step, as another chart's cursor is there. */
  showStep(step: number | null): void {
    const { steps } = this.data;
    if (step === null || !this.plot || steps.length === 0) {
      this.index = null;
      this.plot?.setCursor({ left: -10, top: -10 }, false);
    } else {
      this.index = this.plot.valToIdx(step);
      this.plot.setCursor({ left: this.plot.valToPos(steps[this.index] as number, "x"), top: 0 }, false);
    }
    this.showValues();
  }

  private draw(): void {
    const { spec, runs, view, holder } = this;
    const all = chartData(spec, runs, view.smoothing);
    this.data = { ...all, series: all.series.filter(({ label }) => !this.hidden.has(label)) };
    const canLog = all.series.every(({ raw }) => raw.every((value) => typeof value !== "number" || value > 0));
    if (!canLog) this.logarithmic = false;
    this.logButton.disabled = !canLog;
    this.logButton.setAttribute("aria-pressed", String(this.logarithmic));
    const shape = JSON.stringify([
      ...[this.logarithmic, view.smoothing > 0, [...this.hidden]],
      all.series.map(({ label, style, band }) => [label, style, band !== undefined]),
    ]);
    if (shape !== this.shape || !this.plot) this.rebuild(all.series, shape);
    else this.plot.setData(plotData(this.data, view.smoothing > 0), view.range === null);
    if (view.range && this.plot) this.plot.setScale("x", { min: view.range.from, max: view.range.to });
    this.element.setAttribute("aria-label", this.describe());
    holder.setAttribute("aria-label", `${spec.title}: values by step. Arrow keys move, plus and minus zoom.`);
    this.showValues();
    if (!this.table.hidden) fill(this.table, seriesTable(spec, this.data));
  }

  private rebuild(series: readonly Series[], shape: string): void {
    const { spec, view, holder } = this;
    this.shape = shape;
    this.plot?.destroy();
    const items = series.map((line) =>
      legendItem(line, !this.hidden.has(line.label), () => this.toggleLine(line.label)),
    );
    this.values = items.map(({ value }) => value);
    fill(this.legend, ...items.map(({ element }) => element));
    this.plot = makePlot(
      this.data,
      {
        width: Math.max(200, holder.clientWidth),
        height: spec.wide ? HEIGHT.wide : HEIGHT.normal,
        logarithmic: this.logarithmic,
        unit: spec.unit,
        smoothed: view.smoothing > 0,
        onCursor: (index) => this.onCursor(index),
        onZoom: (from, to) => this.actions.onRange({ from, to }),
        onReset: () => this.actions.onRange(null),
      },
      holder,
    );
  }

  private resize(): void {
    const width = this.holder.clientWidth;
    if (!this.plot || width === 0 || Math.abs(this.plot.width - width) < 1) return;
    this.plot.setSize({ width: Math.max(200, width), height: this.plot.height });
  }

  private onCursor(index: number | null): void {
    if (index === this.index) return;
    this.index = index;
    this.showValues();
    this.actions.onStep(index === null ? null : (this.data.steps[index] ?? null), this);
  }

  private showValues(): void {
    const { steps, series } = this.data;
    const at = this.index ?? steps.length - 1;
    const texts = series.map((line) => ({ label: line.label, text: this.format(valueAt(line.raw, at)) }));
    const byLabel = new Map(texts.map(({ label, text }) => [label, text]));
    for (const value of this.values) value.textContent = byLabel.get(value.dataset.label as string) ?? "hidden";
    const spoken = texts.map(({ label, text }) => `${label} ${text}`).join(", ");
    this.setSlider(steps, steps[at], `step ${steps[at] ?? "–"}: ${spoken}`);
  }

  private setSlider(steps: readonly number[], now: number | undefined, text: string): void {
    const { holder } = this;
    holder.setAttribute("aria-valuemin", String(steps[0] ?? 0));
    holder.setAttribute("aria-valuemax", String(steps.at(-1) ?? 0));
    holder.setAttribute("aria-valuenow", String(now ?? 0));
    holder.setAttribute("aria-valuetext", text);
  }

  private format(value: number | undefined): string {
    return this.spec.unit === "share" && value !== undefined ? formatPercent(value) : formatValue(value);
  }

  /** The chart in words. */
  private describe(): string {
    const lines = this.data.series.map((line) => {
      const summary = summaryOf(line.raw);
      if (!summary) return `${line.label}: no values`;
      const { first, last, min, max } = summary;
      const [a, b, c, d] = [first, last, min, max].map((value) => this.format(value));
      return `${line.label}: first ${a}, last ${b}, least ${c}, greatest ${d}`;
    });
    return `${this.spec.title}. ${lines.join(". ")}.`;
  }

  private toggleLog(): void {
    this.logarithmic = !this.logarithmic;
    this.draw();
  }

  private toggleTable(): void {
    this.table.hidden = !this.table.hidden;
    this.tableButton.setAttribute("aria-pressed", String(!this.table.hidden));
    if (this.table.hidden) fill(this.table);
    else fill(this.table, seriesTable(this.spec, this.data));
  }

  private toggleLine(label: string): void {
    if (!this.hidden.delete(label)) this.hidden.add(label);
    this.draw();
    const toggled = this.values.find((value) => value.dataset.label === label);
    toggled?.closest("button")?.focus();
  }

  private onKey(event: KeyboardEvent): void {
    const { steps } = this.data;
    const last = steps.length - 1;
    const at = this.index ?? last;
    const targets: Record<string, number> = {
      ...{ ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: last },
    };
    const target = targets[event.key];
    if (target !== undefined && last >= 0) {
      const index = Math.min(last, Math.max(0, target));
      this.showStep(steps[index] as number);
      this.actions.onStep(steps[index] as number, this);
    } else if (event.key === "+" || event.key === "-") this.zoomBy(event.key === "+" ? 0.5 : 2, steps[at] ?? 0);
    else if (event.key === "0" || event.key === "Escape") this.actions.onRange(null);
    else return;
    event.preventDefault();
  }

  /** Half or twice the steps around one. */
  private zoomBy(factor: number, around: number): void {
    const { steps } = this.data;
    const [first, last] = [steps[0] ?? 0, steps.at(-1) ?? 0];
    const { from, to } = this.view.range ?? { from: first, to: last };
    const half = Math.max(1, ((to - from) * factor) / 2);
    const range = { from: Math.max(first, around - half), to: Math.min(last, around + half) };
    this.actions.onRange(range.from <= first && range.to >= last ? null : range);
  }
}
