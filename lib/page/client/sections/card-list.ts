import type { Example } from "../../page-data.js";
import type { Dialog } from "../base/dialog.js";
import { fill, h } from "../base/dom.js";
import type { Store } from "../base/store.js";
import { exampleCard } from "./example-card.js";
import { exampleDetails } from "./example-details.js";

const PAGE = 24;

/** Cards, a page of them at a time. Arrow keys go from one to the next, Enter opens one, Esc closes it. */
export class CardList {
  readonly element = h("div", { class: "cards-holder" });
  private readonly grid = h("div", { class: "cards", role: "group" });
  private readonly more = h("button", { type: "button", class: "show-more", onclick: () => this.showMore() });
  private examples: readonly Example[] = [];
  private cards: HTMLElement[] = [];
  private current = 0;
  private shown = "";

  constructor(
    private readonly store: Store,
    private readonly dialog: Dialog,
    label: string,
  ) {
    this.grid.setAttribute("aria-label", `${label}. Arrow keys go from card to card, Enter opens one.`);
    this.element.append(this.grid, this.more);
    this.grid.addEventListener("keydown", (event) => {
      const target = this.targetOf(event.key);
      if (target === undefined) return;
      event.preventDefault();
      this.focus(target);
    });
    this.grid.addEventListener("focusin", (event) => {
      const index = this.cards.indexOf(event.target as HTMLElement);
      if (index >= 0) this.setCurrent(index);
    });
  }

  show(examples: readonly Example[]): void {
    // A dashboard that comes back brings the same ones again: the reader stays where they are.
    const shown = JSON.stringify(examples);
    if (shown === this.shown) return;
    this.shown = shown;
    this.examples = examples;
    this.cards = [];
    this.current = 0;
    fill(this.grid);
    this.add(PAGE);
  }

  private add(count: number): void {
    const start = this.cards.length;
    const added = this.examples
      .slice(start, start + count)
      .map((example, index) => exampleCard(this.store, example, () => this.open(start + index)));
    for (const card of added) card.tabIndex = -1;
    this.cards.push(...added);
    this.grid.append(...added);
    const left = this.examples.length - this.cards.length;
    this.more.hidden = left === 0;
    this.more.textContent = `Show ${Math.min(PAGE, left)} more of ${left}`;
    this.setCurrent(Math.min(this.current, Math.max(0, this.cards.length - 1)));
  }

  private showMore(): void {
    const next = this.cards.length;
    this.add(PAGE);
    this.focus(next);
  }

  /** One card at a time is reached by Tab. */
  private setCurrent(index: number): void {
    const before = this.cards[this.current];
    if (before) before.tabIndex = -1;
    this.current = index;
    const now = this.cards[index];
    if (now) now.tabIndex = 0;
  }

  private focus(index: number): void {
    this.setCurrent(index);
    this.cards[index]?.focus();
  }

  private targetOf(key: string): number | undefined {
    const { current, cards } = this;
    const target = {
      ArrowRight: current + 1,
      ArrowLeft: current - 1,
      ArrowDown: current + this.columns(),
      ArrowUp: current - this.columns(),
      Home: 0,
      End: cards.length - 1,
    }[key];
    return target === undefined ? undefined : Math.min(cards.length - 1, Math.max(0, target));
  }

  private columns(): number {
    const [first] = this.cards;
    return Math.max(1, this.cards.filter((card) => card.offsetTop === first?.offsetTop).length);
  }

  private open(index: number): void {
    const example = this.examples[index];
    if (!example) return;
    if (index >= this.cards.length) this.add(PAGE);
    this.setCurrent(index);
    const go = (by: number) => this.open(index + by);
    const button = (text: string, by: number) =>
      h("button", { type: "button", disabled: !this.examples[index + by], onclick: () => go(by) }, text);
    this.dialog.show(
      {
        title: `Example ${index + 1} of ${this.examples.length}`,
        tools: [button("Previous", -1), button("Next", 1)],
        body: exampleDetails(this.store, example),
      },
      (key) => {
        if (key !== "ArrowLeft" && key !== "ArrowRight") return false;
        go(key === "ArrowLeft" ? -1 : 1);
        return true;
      },
      // Not `current`: the browser gives the focus back to the card that was opened first.
      () => this.focus(index),
    );
  }
}
