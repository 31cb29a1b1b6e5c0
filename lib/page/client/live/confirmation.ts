import { h, newId } from "../base/dom.js";

/** Asks before something that cannot be taken back; Esc and Cancel leave everything as it is. */
export function confirmation(words: { title: string; text: string; confirm: string }, onConfirm: () => void): void {
  const before = document.activeElement;
  const [titleId, textId] = [newId("confirm"), newId("confirm")];
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const confirm = h("button", { type: "button", class: "danger filled", onclick: () => decide() }, words.confirm);
  const dialog = h(
    "dialog",
    { class: "dialog confirm", "aria-labelledby": titleId, "aria-describedby": textId },
    h("h2", { id: titleId }, words.title),
    h("p", { id: textId }, words.text),
    h("div", { class: "confirm-buttons" }, cancel, confirm),
  );
  const decide = () => {
    dialog.close();
    onConfirm();
  };
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before instanceof HTMLElement) before.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}
