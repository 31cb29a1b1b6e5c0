import { h } from "../base/dom.js";
import type { Topic } from "../base/store.js";

/** A part of the page with a place in the navigation. */
export interface Section {
  id: string;
  title: string;
  element: HTMLElement;
  /** Draws what has changed; gives whether there is anything to see. */
  update(topics: ReadonlySet<Topic>): boolean;
}

/** The frame of a section: a heading, and what stands beside it. */
export function frame(id: string, title: string, ...beside: (Node | string | false)[]): HTMLElement {
  const heading = h("h2", { id: `${id}-title` }, title);
  const head = h("div", { class: "section-head" }, heading, ...beside);
  return h("section", { id, "aria-labelledby": `${id}-title` }, head);
}

export function touches(topics: ReadonlySet<Topic>, ...wanted: Topic[]): boolean {
  return topics.has("page") || wanted.some((topic) => topics.has(topic));
}

/** Says why there is nothing. */
export function empty(text: string): HTMLElement {
  return h("p", { class: "empty" }, text);
}
