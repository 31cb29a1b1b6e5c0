import { fill, h, newId } from "../base/dom.js";
import type { Store, Topic } from "../base/store.js";
import { confirmation } from "./confirmation.js";
import { type Command, send } from "./control.js";
import { haveEnded } from "./follow.js";
import { Token } from "./token.js";

/** Pause, stop and the learning rate of a run that is under way; only with its token. */
export class Controls {
  readonly element: HTMLElement;
  private readonly token = new Token();
  private readonly message = h("p", { class: "control-message", role: "status" });
  private readonly pause = h("button", { type: "button", onclick: () => this.togglePause() }, "Pause");
  private readonly stop = h("button", { type: "button", class: "danger", onclick: () => this.askStop() });
  private readonly rate: HTMLInputElement;
  private readonly setRate = h("button", { type: "submit" }, "Set");
  private readonly tokenForm: HTMLElement;
  private busy = false;

  constructor(private readonly store: Store) {
    const rateId = newId("rate");
    this.rate = h("input", { id: rateId, type: "number", step: "any", min: 0, class: "rate", autocomplete: "off" });
    this.stop.textContent = "Stop after checkpoint";
    const rateForm = form(
      () => this.changeRate(),
      h("label", { for: rateId }, "Learning rate"),
      this.rate,
      this.setRate,
    );
    this.tokenForm = this.makeTokenForm();
    this.element = h(
      "div",
      { class: "controls", role: "group", "aria-label": "Controls of the run" },
      h("div", { class: "control-row" }, this.pause, this.stop, rateForm),
      ...[this.tokenForm, this.message],
    );
    this.update(new Set(["page"]));
  }

  update(topics: ReadonlySet<Topic>): void {
    if (!topics.has("page") && !topics.has("status") && !topics.has("connection")) return;
    const { live } = this.store.data;
    this.element.hidden = !live?.canControl;
    this.pause.textContent = this.store.run.status === "paused" ? "Continue" : "Pause";
    // What is being typed stays.
    if (document.activeElement !== this.rate && live) this.rate.value = String(live.learningRate);
    const hasToken = this.token.get() !== null;
    const ended = haveEnded(this.store.data.runs);
    for (const one of [this.pause, this.stop, this.rate, this.setRate]) one.disabled = !hasToken || ended || this.busy;
    this.tokenForm.hidden = hasToken || ended;
  }

  private makeTokenForm(): HTMLElement {
    const id = newId("token");
    const input = h("input", { id, type: "password", autocomplete: "off", class: "token" });
    const use = () => {
      if (input.value.trim() === "") {
        this.say("Type the token first.", true);
        return;
      }
      this.token.set(input.value.trim());
      input.value = "";
      this.say("", false);
      this.refresh();
      this.pause.focus();
    };
    const hint = h(
      "p",
      { class: "hint" },
      "Steering the run needs the token that stands in the address it printed at its start.",
    );
    const row = form(use, h("label", { for: id }, "Token"), input, h("button", { type: "submit" }, "Use"));
    return h("div", { class: "token-form" }, hint, row);
  }

  private togglePause(): void {
    void this.command({ action: this.store.run.status === "paused" ? "continue" : "pause" });
  }

  private askStop(): void {
    const text = "The run finishes its step, writes a checkpoint and ends. It can be resumed from there.";
    confirmation(
      { title: "Stop after a checkpoint?", text, confirm: "Stop the run" },
      () => void this.command({ action: "stop" }),
    );
  }

  private changeRate(): void {
    const value = Number(this.rate.value);
    if (this.rate.value.trim() === "" || !Number.isFinite(value) || value <= 0) {
      this.say("The learning rate has to be a number greater than 0, such as 1e-6.", true);
      return;
    }
    void this.command({ action: "set_learning_rate", value });
  }

  private async command(command: Command): Promise<void> {
    const token = this.token.get();
    if (token === null) return;
    const focused = document.activeElement;
    this.busy = true;
    this.refresh();
    const { ok, refused, text } = await send(command, token);
    this.busy = false;
    if (refused) this.token.set(null);
    this.refresh();
    this.say(text, !ok);
    if (focused instanceof HTMLElement && document.activeElement === document.body) focused.focus();
  }

  private refresh(): void {
    this.update(new Set(["status"]));
  }

  private say(text: string, isError: boolean): void {
    fill(this.message, text);
    this.message.classList.toggle("error", isError);
  }
}

function form(onSubmit: () => void, ...children: Node[]): HTMLElement {
  const element = h("form", { class: "control-form" }, ...children);
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    onSubmit();
  });
  return element;
}
