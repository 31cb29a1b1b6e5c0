import { fill, h } from "./base/dom.js";
import type { Store, Topic } from "./base/store.js";
import { themeSwitch } from "./base/theme.js";
import { haveEnded } from "./live/follow.js";
import type { Section } from "./sections/section.js";

export interface Bar {
  element: HTMLElement;
  update(topics: ReadonlySet<Topic>): void;
  /** Which sections can be gone to. */
  showSections(shown: ReadonlySet<string>): void;
}

/** What stays at the top of the window: the sections, the run, the connection, the colours. */
export function bar(store: Store, sections: readonly Section[], onTheme: () => void): Bar {
  const links = new Map(sections.map(({ id, title }) => [id, h("a", { href: `#${id}` }, title)]));
  const items = new Map([...links].map(([id, link]) => [id, h("li", {}, link)]));
  const nav = h("nav", { "aria-label": "Sections" }, h("ul", {}, ...items.values()));
  const state = h("p", { class: "connection", role: "status" });
  const runs = runSelect(store);
  const tools = h("div", { class: "top-tools" }, state, runs, themeSwitch(onTheme));
  markCurrent(sections, links);
  return {
    element: h("header", { class: "top" }, h("div", { class: "top-inner" }, nav, tools)),
    update(topics) {
      if (topics.has("page")) fillRuns(runs, store);
      if (topics.has("page") || topics.has("connection") || topics.has("status")) showConnection(state, store);
    },
    showSections(shown) {
      for (const [id, item] of items) item.hidden = !shown.has(id);
    },
  };
}

function runSelect(store: Store): HTMLSelectElement {
  const select = h("select", {
    ...{ class: "select", "aria-label": "Run of the gallery, completions and data" },
    onchange: () => {
      store.selected = Number(select.value);
      store.change("selection");
    },
  });
  return select;
}

function fillRuns(select: HTMLSelectElement, store: Store): void {
  const { runs } = store.data;
  select.hidden = runs.length < 2;
  if (store.selected >= runs.length) store.selected = 0;
  fill(select, ...runs.map(({ name }, value) => h("option", { value, selected: value === store.selected }, name)));
}

function showConnection(element: HTMLElement, store: Store): void {
  const { connection, data } = store;
  const end = data.runs.length > 1 ? "The runs have ended" : "The run has ended";
  const [name, text] = haveEnded(data.runs)
    ? (["ended", end] as const)
    : (
        {
          none: ["none", ""],
          connecting: ["connecting", "Connecting"],
          connected: ["connected", "Connected"],
          lost: ["lost", "Connection lost, trying again"],
          ended: ["ended", end],
        } as const
      )[connection];
  element.hidden = connection === "none";
  if (element.textContent === text) return;
  element.className = `connection ${name}`;
  element.textContent = text;
}

/** The link of the section that is being read; at the top of the page the first one, however short it is. */
function markCurrent(sections: readonly Section[], links: ReadonlyMap<string, HTMLElement>): void {
  const [first] = sections;
  let read = first?.id;
  const mark = () => {
    const current = scrollY <= 0 ? first?.id : read;
    for (const [id, link] of links) {
      if (id === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  const observer = new IntersectionObserver(
    (entries) => {
      read = entries.findLast(({ isIntersecting }) => isIntersecting)?.target.id ?? read;
      mark();
    },
    { rootMargin: "-25% 0px -70% 0px" },
  );
  for (const { element } of sections) observer.observe(element);
  addEventListener("scroll", mark, { passive: true });
}
