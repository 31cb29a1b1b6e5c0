import uPlot from "uplot";
import { cssVariable } from "../base/theme.js";
import type { Unit } from "./catalog.js";
import type { ChartData, Series } from "./series.js";
import { formatTick } from "./ticks.js";

export const COLOURS = 6;
/** Lines stay apart without colours too. */
export const DASHES: readonly number[][] = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [12, 4]];

export interface PlotOptions {
  width: number;
  height: number;
  logarithmic: boolean;
  unit: Unit;
  smoothed: boolean;
  /** The mouse is over a step (its index), or left. */
  onCursor(index: number | null): void;
  /** A range of steps was dragged over. */
  onZoom(from: number, to: number): void;
  onReset(): void;
}

export function colourOf(index: number): string {
  return cssVariable(`--series-${(index % COLOURS) + 1}`);
}

export function dashOf(index: number): number[] {
  return [...(DASHES[index % DASHES.length] as number[])];
}

/** The columns that uPlot wants: steps, then per line its band's edges, its raw line and itself. */
export function plotData({ steps, series }: ChartData, smoothed: boolean): uPlot.AlignedData {
  return [steps, ...series.flatMap((line) => columnsOf(line, smoothed))] as uPlot.AlignedData;
}

function columnsOf(line: Series, smoothed: boolean) {
  return [
    ...(line.band ? [line.band.high, line.band.low] : []),
    ...(showsRaw(line, smoothed) ? [line.raw] : []),
    line.drawn,
  ];
}

function showsRaw(line: Series, smoothed: boolean): boolean {
  return smoothed && line.style === "line";
}

export function makePlot(data: ChartData, options: PlotOptions, target: HTMLElement): uPlot {
  const { series, bands } = seriesOptions(data, options);
  return new uPlot(
    {
      ...{ width: options.width, height: options.height, series, bands, axes: axesOf(options) },
      scales: { x: { time: false, range: stepRange }, y: yScale(options.logarithmic) },
      legend: { show: false },
      padding: [10, 10, 0, 0],
      cursor: {
        y: false,
        points: { size: 7, width: 2, fill: cssVariable("--surface") },
        drag: { x: true, y: false, setScale: false, dist: 5 },
        bind: {
          dblclick: () => () => {
            options.onReset();
            return null;
          },
        },
      },
      hooks: {
        setCursor: [(plot) => options.onCursor(plot.cursor.idx ?? null)],
        setSelect: [(plot) => onSelect(plot, options)],
      },
    },
    plotData(data, options.smoothed),
    target,
  );
}

function onSelect(plot: uPlot, options: PlotOptions): void {
  const { left, width } = plot.select;
  if (width < 5) return;
  const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  options.onZoom(from, to);
}

function seriesOptions(data: ChartData, options: PlotOptions): { series: uPlot.Series[]; bands: uPlot.Band[] } {
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const line of data.series) {
    const stroke = colourOf(line.colour);
    if (line.band) {
      bands.push({ series: [series.length, series.length + 1], fill: `${stroke}22` });
      const edge: uPlot.Series = { ...{ stroke: "transparent", width: 0, points: { show: false } }, spanGaps: true };
      series.push(edge, edge);
    }
    if (showsRaw(line, options.smoothed)) {
      series.push({ ...{ stroke, alpha: 0.3, width: 1, spanGaps: true, points: { show: false } } });
    }
    series.push(lineOptions(line, stroke));
  }
  return { series, bands };
}

function lineOptions(line: Series, stroke: string): uPlot.Series {
  const isPoints = line.style === "points";
  const count = line.drawn.filter((value) => typeof value === "number").length;
  const options: uPlot.Series = {
    ...{ stroke, width: 1.75, dash: dashOf(line.dash), spanGaps: true, cap: "round" },
    points: {
      show: line.style !== "line" || count < 3,
      size: isPoints ? 9 : 6,
      width: 2,
      fill: cssVariable("--surface"),
    },
  };
  if (isPoints) options.paths = () => null;
  return options;
}

function axesOf({ unit }: PlotOptions): uPlot.Axis[] {
  const common = {
    stroke: cssVariable("--muted"),
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: cssVariable("--grid"), width: 1 },
    ticks: { show: false },
  };
  const incrs = [1, 2, 5]
    .flatMap((digit) => [0, 1, 2, 3, 4, 5, 6, 7].map((power) => digit * 10 ** power))
    .sort((a, b) => a - b);
  const values = (_: uPlot, splits: (number | null)[]) =>
    splits.map((value) => (value === null ? "" : formatTick(value, unit, splits)));
  return [
    {
      ...common,
      grid: { show: false },
      space: 64,
      size: 28,
      gap: 6,
      incrs,
      values: (_, splits) => splits.map(formatStep),
    },
    {
      ...common,
      space: 34,
      gap: 6,
      size: (_, labels) => 14 + 6.6 * Math.max(3, ...(labels ?? []).map((text) => text.length)),
      values,
    },
  ];
}

function formatStep(step: number): string {
  return step >= 10_000 ? `${step / 1000}k` : String(step);
}

/** One step alone stands in the middle. */
function stepRange(_: uPlot, min: number, max: number): [number, number] {
  return min === max ? [min - 1, max + 1] : [min, max];
}

function yScale(logarithmic: boolean): uPlot.Scale {
  if (logarithmic) return { distr: 3, range: (_, min, max) => uPlot.rangeLog(min ?? 0.1, max ?? 1, 10, false) };
  return {
    range: (_, min, max) => {
      if (min === null || max === null || min === undefined) return [0, 1];
      if (min !== max) return uPlot.rangeNum(min, max, 0.1, true);
      const pad = min === 0 ? 1 : Math.abs(min) * 0.1;
      return [min === 0 ? 0 : min - pad, max + pad];
    },
  };
}
