import type { PageRun } from "../../page-data.js";
import { type Child, h } from "./dom.js";
import type { Store } from "./store.js";
import { clipped, formatReward, titled, visible } from "./text.js";
import type { Mark } from "./verdict.js";

/** Text that a model or a data set brought: in its own direction, with what cannot be seen shown. */
export function foreign(text: string, length = Number.POSITIVE_INFINITY, className?: string): HTMLElement {
  return h("bdi", { dir: "auto", class: className }, visible(clipped(text, length)));
}

/** The pictures of a row, or a sign that there is none to show. */
export function pictures(store: Store, list: readonly string[], className: string): HTMLElement {
  const images = list.flatMap((picture, index) => {
    const src = store.pictureUrl(picture);
    if (src === undefined) return [];
    const alt = list.length > 1 ? `Picture ${index + 1} of the question` : "Picture of the question";
    // A report holds its pictures, and shows them on paper too; a dashboard fetches those that are looked at.
    const loading = store.data.kind === "dashboard" ? "lazy" : "eager";
    const image = h("img", { src, alt, loading, decoding: "async", draggable: "false" });
    image.addEventListener("error", () => image.replaceWith(noPicture(className, "not found")));
    return [image];
  });
  if (images.length > 0) return h("span", { class: `${className} pictures` }, ...images);
  return noPicture(className, "no picture");
}

function noPicture(className: string, text: string): HTMLElement {
  return h("span", { class: `${className} pictures none` }, h("span", {}, text));
}

/** "✓ Name": right or wrong is told by a sign and in words. */
export function markChips(marks: readonly Mark[]): HTMLElement[] {
  return marks.map(({ name, right }) =>
    h(
      "span",
      { class: right ? "chip good" : "chip bad" },
      h("span", { "aria-hidden": "true" }, right ? "✓ " : "✗ "),
      name,
      h("span", { class: "unseen" }, right ? ": right" : ": wrong"),
    ),
  );
}

/** "content 0.93 · format 1.00". */
export function rewardList(rewards: Record<string, number | null>): HTMLElement {
  const items = Object.entries(rewards).map(([name, value]) =>
    h("span", { class: "reward-part" }, foreign(name), " ", h("b", {}, formatReward(value))),
  );
  return h("span", { class: "reward-parts" }, ...items);
}

export function stat(label: string, value: Child, ...details: Child[]): HTMLElement {
  return h(
    "div",
    { class: "stat" },
    h("dt", {}, label),
    h("dd", {}, h("span", { class: "stat-value" }, value), ...details),
  );
}

const STATUS: Record<PageRun["status"], string> = {
  running: "Running",
  paused: "Paused",
  interrupted: "Interrupted",
  failed: "Failed",
  finished: "Finished",
  unknown: "State unknown",
};

export function statusPill(status: PageRun["status"]): HTMLElement {
  return h("span", { class: `pill ${status}` }, STATUS[status] ?? titled(String(status)));
}
