import { type Child, fill, h } from "./dom.js";

/** Shows something over the page; Esc, a click beside it and its button close it, and the focus goes back. */
export class Dialog {
  private readonly heading = h("h2", { id: "dialog-title" });
  private readonly tools = h("div", { class: "dialog-tools" });
  private readonly body = h("div", {
    class: "dialog-body",
    tabindex: 0,
    role: "group",
    "aria-labelledby": "dialog-title",
  });
  private readonly element: HTMLDialogElement;
  private back: (() => void) | null = null;
  private keys: ((key: string) => boolean) | null = null;

  constructor() {
    const close = h("button", { type: "button", class: "close", onclick: () => this.element.close() }, "Close");
    this.element = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "dialog-title" },
      h("div", { class: "dialog-head" }, this.heading, this.tools, close),
      this.body,
    );
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close();
    });
    this.element.addEventListener("close", () => this.back?.());
    this.element.addEventListener("keydown", (event) => {
      if (this.keys?.(event.key)) event.preventDefault();
    });
    document.body.append(this.element);
  }

  /**
   * @param onKey Says whether it knew the key.
   * @param onClose Where the focus goes after it.
   */
  show(
    content: { title: Child; tools?: readonly Child[]; body: readonly Child[] },
    onKey: (key: string) => boolean,
    onClose: () => void,
  ): void {
    fill(this.heading, content.title);
    const focused = document.activeElement?.textContent;
    fill(this.tools, ...(content.tools ?? []));
    fill(this.body, ...content.body);
    this.keys = onKey;
    this.back = onClose;
    this.body.scrollTop = 0;
    if (!this.element.open) {
      this.element.showModal();
      this.body.focus();
      return;
    }
    // The buttons are new ones: the focus stays on the one with the same name.
    const buttons = [...this.tools.querySelectorAll("button")].filter((button) => !button.disabled);
    (buttons.find((button) => button.textContent === focused) ?? this.body).focus();
  }
}
