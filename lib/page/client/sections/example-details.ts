import type { Example, ExampleAnswer } from "../../page-data.js";
import { differences, type Piece } from "../base/diff.js";
import { h } from "../base/dom.js";
import { foreign, markChips, pictures, rewardList } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { formatReward, titled, visible } from "../base/text.js";
import { marksOf } from "../base/verdict.js";
import { changeBadge } from "./example-card.js";

/** All of an example: whole texts, with what changed between the first and the last answer marked. */
export function exampleDetails(store: Store, example: Example): HTMLElement[] {
  const { question, solution, answers } = example;
  const [first, last] = [answers[0], answers.at(-1)];
  const changed = first && last && first !== last ? differences(visible(first.text), visible(last.text)) : undefined;
  const piecesOf = (answer: ExampleAnswer): Piece[] => {
    const pieces = answer === first ? changed?.[0] : answer === last ? changed?.[1] : undefined;
    return pieces ?? [{ text: visible(answer.text), changed: false }];
  };
  return [
    h(
      "div",
      { class: "detail-top" },
      pictures(store, example.pictures, "detail-picture"),
      h(
        "dl",
        { class: "facts" },
        ...fact("Question", foreign(question)),
        ...fact("Truth", foreign(solution)),
        ...fact("Row", foreign(example.id)),
        ...fact("Change", changeBadge(example)),
      ),
    ),
    h(
      "div",
      { class: "detail-answers" },
      ...answers.map((answer) => answerBlock(answer, solution, piecesOf(answer), answer === first ? "del" : "ins")),
    ),
  ];
}

function fact(name: string, value: HTMLElement): HTMLElement[] {
  return [h("dt", {}, name), h("dd", {}, value)];
}

function answerBlock(
  answer: ExampleAnswer,
  solution: string,
  pieces: readonly Piece[],
  tag: "ins" | "del",
): HTMLElement {
  const text = pieces.map(({ text, changed }) => (changed ? h(tag, {}, text) : text));
  return h(
    "article",
    { class: "detail-answer" },
    h(
      "div",
      { class: "answer-head" },
      h("h3", {}, titled(answer.label)),
      h("span", { class: "reward" }, "reward ", h("b", {}, formatReward(answer.reward))),
    ),
    h("div", { class: "chips" }, ...markChips(marksOf(answer, solution))),
    h("div", { class: "whole-text", dir: "auto" }, ...text),
    rewardList(answer.rewards),
  );
}
