import { arrange, h, newId } from "../base/dom.js";
import type { Store } from "../base/store.js";
import { type ChartSpec, catalogOf } from "../charts/catalog.js";
import { Chart, type ChartView } from "../charts/chart.js";
import { frame, type Section, touches } from "./section.js";

/** From so many steps on the curves are smoothed, unless the reader says otherwise. */
const SMOOTH_FROM = 60;
const DEFAULT_SMOOTHING = 0.7;

/** All charts: they share the smoothing, the cursor and the range of steps. */
export function curves(store: Store): Section & { redraw(): void } {
  const view: ChartView = { smoothing: startSmoothing(store), range: null };
  const main = h("div", { class: "charts" });
  const others = h("div", { class: "charts" });
  const summary = h("summary", {});
  const more = h("details", { class: "more" }, summary, others);
  const shown = new Map<string, Chart>();
  const reset = h("button", { type: "button", hidden: true, onclick: () => setRange(null) }, "Reset zoom");
  const element = frame(
    "curves",
    "Curves",
    toolbar(view, reset, () => drawAll()),
  );
  element.append(main, more);
  more.addEventListener("toggle", () => drawAll());

  const setRange = (range: ChartView["range"]) => {
    view.range = range;
    reset.hidden = range === null;
    drawAll();
  };
  const actions = {
    onStep: (step: number | null, source: Chart) => {
      for (const chart of shown.values()) if (chart !== source) chart.showStep(step);
    },
    onRange: setRange,
  };
  const place = (target: HTMLElement, specs: readonly ChartSpec[]) => {
    const charts = specs.map((spec) => {
      const key = JSON.stringify(spec);
      const chart = shown.get(key) ?? new Chart(spec, actions);
      shown.set(key, chart);
      return { key, chart };
    });
    arrange(
      target,
      charts.map(({ chart }) => chart.element),
    );
    for (const { chart } of charts) chart.update(store.data.runs, view);
    return charts.map(({ key }) => key);
  };
  const drawAll = () => {
    const catalog = catalogOf(store.data.runs);
    // Charts of what is closed are not made.
    const keys = [...place(main, catalog.main), ...place(others, more.open ? catalog.more : [])];
    for (const key of shown.keys()) if (!keys.includes(key)) shown.delete(key);
    summary.textContent = `More metrics (${catalog.more.length})`;
    more.hidden = catalog.more.length === 0;
    return catalog.main.length + catalog.more.length > 0;
  };
  return {
    ...{ id: "curves", title: "Curves", element },
    update: (topics) => (touches(topics, "steps", "evaluations") ? drawAll() : shown.size > 0),
    redraw: () => {
      for (const chart of shown.values()) chart.redraw();
    },
  };
}

function startSmoothing({ data }: Store): number {
  const longest = Math.max(0, ...data.runs.map(({ steps }) => steps.step.length));
  return longest >= SMOOTH_FROM ? DEFAULT_SMOOTHING : 0;
}

function toolbar(view: ChartView, reset: HTMLElement, onChange: () => void): HTMLElement {
  const id = newId("smoothing");
  const value = h("output", { for: id, class: "number" }, view.smoothing.toFixed(2));
  const slider = h("input", {
    ...{ id, type: "range", min: 0, max: 0.99, step: 0.01, value: view.smoothing },
    oninput: () => {
      view.smoothing = Number(slider.value);
      value.textContent = view.smoothing.toFixed(2);
      onChange();
    },
  });
  return h("div", { class: "toolbar" }, reset, h("label", { for: id }, "Smoothing"), slider, value);
}
