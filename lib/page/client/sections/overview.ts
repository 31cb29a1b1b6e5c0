import type { PageRun } from "../../page-data.js";
import { fill, h } from "../base/dom.js";
import { foreign, statusPill } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { formatScore, formatValue } from "../base/text.js";
import { COLOURS } from "../charts/plot.js";
import { keyNumbers, latestReward, verdictOf } from "./key-numbers.js";
import { type Section, touches } from "./section.js";

/** Characters of why a run ended: a library's message may be very long. */
const MAX_REASON = 600;

/** The run's name, how far it is, and how it went. */
export function overview(store: Store): Section {
  const title = h("h1", { id: "overview-title" });
  const state = h("div", { class: "state" });
  const body = h("div", { class: "overview-body" });
  const element = h("section", { id: "overview", "aria-labelledby": "overview-title" }, title, state, body);
  return {
    ...{ id: "overview", title: "Overview", element },
    update(topics) {
      if (!touches(topics, "steps", "evaluations", "status", "progress")) return true;
      const { runs, title: name, made, version } = store.data;
      fill(title, foreign(name || store.run.name));
      const [run] = runs;
      if (!run) {
        fill(body, h("p", { class: "empty" }, "There is no run to show."));
        return true;
      }
      const stamp = h("p", { class: "stamp" }, `vlmr1-native ${version} · ${dateOf(made)}`);
      if (runs.length === 1) {
        const own = run.name !== name && h("span", {}, foreign(run.name));
        fill(state, ...stateOf(run, store), own, stamp);
        fill(body, h("dl", { class: "stats" }, ...keyNumbers(run)));
      } else {
        fill(state, h("span", {}, `${runs.length} runs side by side`), stamp);
        fill(body, runsTable(runs));
      }
      return true;
    },
  };
}

function dateOf(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function stateOf(run: PageRun, store: Store): HTMLElement[] {
  const { status, step, totalSteps, reason, objective } = run;
  const share = totalSteps > 0 ? Math.min(1, step / totalSteps) : 0;
  const label = `step ${step.toLocaleString("en")} of ${totalSteps.toLocaleString("en")}`;
  const parts = [
    statusPill(status),
    h("span", { class: "objective" }, objective.toUpperCase()),
    h("span", { class: "steps" }, label),
    meter("Steps", share),
  ];
  if (reason) parts.push(h("p", { class: "reason" }, foreign(reason, MAX_REASON)));
  const { progress } = store;
  if (progress && (status === "running" || status === "paused")) {
    const phase = h("span", { class: "phase" }, foreign(progress.phase, 80));
    parts.push(h("div", { class: "progress" }, phase, meter(`Progress: ${progress.phase}`, progress.fraction)));
  }
  return parts;
}

function meter(label: string, share: number): HTMLElement {
  return h("progress", { class: "meter", max: 1, value: Math.min(1, Math.max(0, share)), "aria-label": label });
}

function runsTable(runs: readonly PageRun[]): HTMLElement {
  const all = [...new Set(runs.flatMap(({ heldOut }) => heldOut?.scores.map(({ name }) => name) ?? []))];
  // The parts of the reward have their places below.
  const names = all.filter((name) => !name.includes("/"));
  const numbers = ["Step", "Training reward", ...names.map((name) => `Held-out: ${name}`)];
  const head = [
    ...["Run", "State"].map((name) => h("th", { scope: "col" }, name)),
    ...numbers.map((name) => h("th", { scope: "col", class: "number" }, name)),
  ];
  const rows = runs.map((run, index) => {
    const scores = names.map((name) => {
      const score = run.heldOut?.scores.find((one) => one.name === name);
      if (!score) return h("td", {}, "–");
      const text = `${formatScore(score.first, score.unit)} → ${formatScore(score.second, score.unit)}`;
      return h("td", { class: `number change ${verdictOf(score)}` }, text);
    });
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: `dot series-${(index % COLOURS) + 1}` }), foreign(run.name)),
      h("td", {}, statusPill(run.status)),
      h("td", { class: "number" }, `${run.step} / ${run.totalSteps}`),
      h("td", { class: "number" }, formatValue(latestReward(run))),
      ...scores,
    );
  });
  const table = h(
    "table",
    {},
    h("caption", { class: "unseen" }, "The runs: state and held-out scores, before and after"),
    h("thead", {}, h("tr", {}, ...head)),
    h("tbody", {}, ...rows),
  );
  const region = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The runs" }, table);
  return h("div", { class: "panel" }, region);
}
