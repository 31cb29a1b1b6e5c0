import type { Example, ExampleAnswer } from "../../page-data.js";
import { h } from "../base/dom.js";
import { foreign, markChips, pictures } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { formatReward, titled } from "../base/text.js";
import { answerPart, type Change, changeOf, marksOf } from "../base/verdict.js";

const QUESTION_LENGTH = 240;
const ANSWER_LENGTH = 200;

const CHANGES: Record<Change, [className: string, text: string]> = {
  better: ["good", "▲ better"],
  worse: ["bad", "▼ worse"],
  same: ["none", "= same"],
};

/** "▲ better", with what it changed by. */
export function changeBadge(example: Example): HTMLElement {
  const [className, text] = CHANGES[changeOf(example)];
  return h("span", { class: `badge ${className}` }, text);
}

/** A card that opens; all of it is one button, so that keys and screen readers find it. */
export function exampleCard(store: Store, example: Example, onOpen: () => void): HTMLElement {
  const { question, solution, answers } = example;
  return h(
    "button",
    { type: "button", class: "card", "aria-haspopup": "dialog", onclick: onOpen },
    h(
      "span",
      { class: "card-top" },
      pictures(store, example.pictures.slice(0, 1), "thumb"),
      h(
        "span",
        { class: "card-question" },
        foreign(question, QUESTION_LENGTH, "question"),
        h(
          "span",
          { class: "truth" },
          h("span", { class: "label" }, "Truth "),
          foreign(answerPart(solution), ANSWER_LENGTH),
        ),
      ),
    ),
    h("span", { class: "card-answers" }, ...answers.map((answer) => answerLine(answer, example))),
  );
}

function answerLine(answer: ExampleAnswer, example: Example): HTMLElement {
  const { answers, solution } = example;
  const isLast = answers.length > 1 && answer === answers.at(-1);
  return h(
    "span",
    { class: "answer" },
    h(
      "span",
      { class: "answer-head" },
      h("span", { class: "label" }, titled(answer.label)),
      isLast && changeBadge(example),
      h("span", { class: "reward" }, "reward ", h("b", {}, formatReward(answer.reward))),
    ),
    foreign(answerPart(answer.text), ANSWER_LENGTH, "answer-text"),
    h("span", { class: "chips" }, ...markChips(marksOf(answer, solution))),
  );
}
