import type { Dialog } from "../base/dialog.js";
import { h } from "../base/dom.js";
import type { Store } from "../base/store.js";
import { CardList } from "./card-list.js";
import { frame, type Section, touches } from "./section.js";

/** The questions whose reward fell most. */
export function regressions(store: Store, dialog: Dialog): Section {
  const list = new CardList(store, dialog, "Regressions");
  const element = frame("regressions", "Worst regressions");
  element.append(
    h("p", { class: "note" }, "Held-out questions whose reward fell most, the largest fall first."),
    list.element,
  );
  return {
    ...{ id: "regressions", title: "Regressions", element },
    update(topics) {
      const { regressions: examples } = store.run;
      if (touches(topics, "selection")) list.show(examples);
      return examples.length > 0;
    },
  };
}
