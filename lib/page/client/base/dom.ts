export type Child = Node | string | number | null | undefined | false;
type Value = string | number | boolean | undefined | ((event: never) => void);
export type Attributes = Record<string, Value>;

/**
 * An element. Text goes in as text, never as HTML: what a model wrote cannot become part of the page. Functions are
 * listeners (`onclick`), true is an attribute without a value, false and undefined are none.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  append(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  append(element, children);
  return element;
}

/** Puts `children` in place of what is there. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

/** Makes `children` those of `element`; what stays is not moved, so that it keeps the focus. */
export function arrange(element: Element, children: readonly Element[]): void {
  for (const [index, child] of children.entries()) {
    const current = element.children[index] ?? null;
    if (current !== child) element.insertBefore(child, current);
  }
  while (element.children.length > children.length) element.lastElementChild?.remove();
}

let ids = 0;

/** For labels and descriptions. */
export function newId(prefix: string): string {
  ids += 1;
  return `${prefix}-${ids}`;
}

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === "number" ? String(child) : child);
  }
}
