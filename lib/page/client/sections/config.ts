import type { PageRun } from "../../page-data.js";
import { fill, h, newId } from "../base/dom.js";
import { foreign } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { frame, type Section, touches } from "./section.js";

const MAX_LENGTH = 400;

/** Options and environment of all runs, side by side. */
export function config(store: Store): Section {
  const body = h("div", { class: "stack" });
  const id = newId("differing");
  const box = h("input", { id, type: "checkbox", onchange: () => draw() });
  const differing = h("span", { class: "check" }, box, h("label", { for: id }, "Only what differs"));
  const element = frame("config", "Configuration and environment", differing);
  element.append(body);
  const draw = () => {
    const { runs } = store.data;
    differing.hidden = runs.length < 2;
    const only = runs.length > 1 && box.checked;
    const parts: [string, Facts][] = [
      ["Environment", (run) => readable(run.environment)],
      ["Configuration", (run) => run.config],
    ];
    const [first] = runs;
    const panels = parts.map(([title, facts]) =>
      first && runs.length === 1 ? list(title, facts(first)) : table(title, runs, facts, only),
    );
    fill(body, ...panels);
  };
  return {
    ...{ id: "config", title: "Configuration", element },
    update(topics) {
      if (touches(topics)) draw();
      return store.data.runs.some((run) => Object.keys({ ...run.config, ...run.environment }).length > 0);
    },
  };
}

type Facts = (run: PageRun) => Record<string, unknown>;

/** Of one run: in columns, as there are many options with short values. */
function list(title: string, facts: Record<string, unknown>): HTMLElement {
  const pairs = Object.entries(facts).map(([name, value]) =>
    h("div", {}, h("dt", {}, foreign(name)), h("dd", {}, foreign(shown(value), MAX_LENGTH))),
  );
  const content =
    pairs.length > 0 ? h("dl", { class: "options" }, ...pairs) : h("p", { class: "empty" }, "Not recorded.");
  return h("div", { class: "panel" }, h("h3", {}, title), content);
}

/** Of several runs: side by side. */
function table(title: string, runs: readonly PageRun[], facts: Facts, onlyDiffering: boolean): HTMLElement {
  const names = [...new Set(runs.flatMap((run) => Object.keys(facts(run))))];
  const rows = names.flatMap((name) => {
    const values = runs.map((run) => shown(facts(run)[name]));
    const differs = new Set(values).size > 1;
    if (onlyDiffering && !differs) return [];
    const cells = values.map((value) => h("td", {}, foreign(value, MAX_LENGTH)));
    return [h("tr", { class: differs && "differs" }, h("th", { scope: "row" }, foreign(name)), ...cells)];
  });
  const heads = runs.length > 1 && h("thead", {}, h("tr", {}, ...["", ...runs.map(({ name }) => name)].map(head)));
  const content =
    rows.length > 0
      ? h("table", { class: "pairs" }, heads, h("tbody", {}, ...rows))
      : h("p", { class: "empty" }, onlyDiffering ? "Nothing differs." : "Not recorded.");
  const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": title };
  return h("div", { class: "panel" }, h("h3", {}, title), h("div", region, content));
}

function head(text: string): HTMLElement {
  return text ? h("th", { scope: "col" }, foreign(text)) : h("td", {});
}

/** Numbers with their thousands apart: a model has millions of parameters. */
function readable(facts: PageRun["environment"]): Record<string, unknown> {
  const entries = Object.entries(facts);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === "number" ? value.toLocaleString("en") : value]),
  );
}

function shown(value: unknown): string {
  if (value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}
