import type { PageCompletion } from "../../page-data.js";
import type { Dialog } from "../base/dialog.js";
import { arrange, h, newId } from "../base/dom.js";
import { foreign, pictures, rewardList } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { counted, formatReward, formatValue, visible } from "../base/text.js";
import { answerPart } from "../base/verdict.js";
import { searchField } from "./gallery.js";
import { empty, frame, type Section, touches } from "./section.js";

const PAGE = 20;

/** What was sampled while training, the newest first. */
export function completions(store: Store, dialog: Dialog): Section {
  const list = h("ol", { class: "completions" });
  const more = h("button", { type: "button", class: "show-more" });
  const found = h("p", { class: "found" });
  const nothing = empty("");
  const state = { search: "", shown: PAGE, follow: true };
  let all: readonly PageCompletion[] = [];
  const items = new WeakMap<PageCompletion, HTMLElement>();
  const itemOf = (one: PageCompletion) => {
    const item = items.get(one) ?? h("li", {}, row(store, one, dialog));
    items.set(one, item);
    return item;
  };
  const draw = () => {
    if (state.follow) all = store.run.completions;
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = all.filter((one) => contains(one, words));
    found.textContent = counted(chosen.length, "completion");
    nothing.hidden = chosen.length > 0;
    nothing.textContent =
      all.length > 0 ? "No completion fits this search." : "Completions appear here as they are sampled.";
    arrange(list, chosen.slice(0, state.shown).map(itemOf));
    const left = chosen.length - state.shown;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(PAGE, left)} more of ${left}`;
  };
  more.addEventListener("click", () => {
    state.shown += PAGE;
    draw();
    list.children[state.shown - PAGE]?.querySelector("button")?.focus();
  });
  const search = searchField("Search the completions", (text) => {
    state.search = text;
    state.shown = PAGE;
    draw();
  });
  const follow = followBox((on) => {
    state.follow = on;
    draw();
  });
  const element = frame("completions", "Completions", found);
  const isDashboard = store.data.kind === "dashboard";
  element.append(h("div", { class: "toolbar wrap" }, search, ...(isDashboard ? [follow] : [])), list, more, nothing);
  return {
    ...{ id: "completions", title: "Completions", element },
    update(topics) {
      if (touches(topics, "selection")) all = store.run.completions;
      if (touches(topics, "selection", "completions")) draw();
      return store.run.completions.length > 0 || store.data.live !== undefined;
    },
  };
}

function followBox(onChange: (on: boolean) => void): HTMLElement {
  const id = newId("follow");
  const box = h("input", { id, type: "checkbox", checked: true, onchange: () => onChange(box.checked) });
  return h("span", { class: "check" }, box, h("label", { for: id }, "Show new ones as they come"));
}

function contains({ id, question, solution, completion }: PageCompletion, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = [id, question, solution, completion].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

function row(store: Store, one: PageCompletion, dialog: Dialog): HTMLElement {
  const button = h(
    "button",
    { type: "button", class: "completion", "aria-haspopup": "dialog" },
    pictures(store, one.pictures.slice(0, 1), "thumb small-thumb"),
    h(
      "span",
      { class: "completion-texts" },
      foreign(one.question || one.id, 160, "question"),
      foreign(answerPart(one.completion), 200, "answer-text"),
      h("span", { class: "truth" }, h("span", { class: "label" }, "Truth "), foreign(answerPart(one.solution), 160)),
    ),
    h(
      "span",
      { class: "completion-numbers" },
      h("span", { class: "reward" }, "reward ", h("b", {}, formatReward(one.reward))),
      rewardList(one.rewards),
      h("span", { class: "detail" }, `step ${one.step} · ${counted(one.tokens, "token")}${cutOff(one)}`),
    ),
  );
  button.addEventListener("click", () => {
    dialog.show(
      { title: `Completion of step ${one.step}`, body: details(store, one) },
      () => false,
      () => button.focus(),
    );
  });
  return button;
}

function cutOff({ finishReason }: PageCompletion): string {
  return finishReason === "length" ? " · cut off" : "";
}

function details(store: Store, one: PageCompletion): HTMLElement[] {
  const facts: [string, HTMLElement | string][] = [
    ["Question", foreign(one.question)],
    ["Truth", foreign(one.solution)],
    ["Row", foreign(one.id)],
    ["Reward", formatReward(one.reward)],
    ["Rewards", rewardList(one.rewards)],
    ["Advantage", formatValue(one.advantage)],
    ["Length", `${counted(one.tokens, "token")}${cutOff(one)}`],
  ];
  return [
    h(
      "div",
      { class: "detail-top" },
      pictures(store, one.pictures, "detail-picture"),
      h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    ),
    h("article", { class: "detail-answer" }, h("div", { class: "whole-text", dir: "auto" }, visible(one.completion))),
  ];
}
