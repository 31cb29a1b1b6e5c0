import { h, svg } from "../base/dom.js";
import { COLOURS, dashOf } from "./plot.js";
import type { Series } from "./series.js";

/** A line's sign, name and value; a click hides the line, or shows it again. */
export function legendItem(line: Series, shown: boolean, onToggle: () => void) {
  const value = h("span", { class: "legend-value", "data-label": line.label });
  const button = h(
    "button",
    { type: "button", class: "legend-item", "aria-pressed": String(shown), onclick: onToggle },
    swatch(line),
    h("bdi", { class: "legend-label" }, line.label),
    // Read out, they are two words.
    " ",
    value,
  );
  return { element: h("li", {}, button), value };
}

/** As the line is drawn: its colour, its dashes, its points. */
function swatch({ style, colour, dash }: Series): SVGElement {
  const parts = [];
  if (style !== "points") {
    parts.push(svg("line", { x1: 1, y1: 6, x2: 23, y2: 6, "stroke-dasharray": dashOf(dash).join(" ") || "none" }));
  }
  if (style !== "line") parts.push(svg("circle", { cx: 12, cy: 6, r: 3.5 }));
  const number = (colour % COLOURS) + 1;
  return svg("svg", { class: `swatch series-${number}`, viewBox: "0 0 24 12", "aria-hidden": "true" }, ...parts);
}
