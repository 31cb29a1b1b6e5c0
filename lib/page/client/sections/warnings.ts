import { fill, h } from "../base/dom.js";
import { foreign } from "../base/parts.js";
import type { Store } from "../base/store.js";
import { counted } from "../base/text.js";
import { frame, type Section, touches } from "./section.js";

const MAX_SHOWN = 200;
const MAX_LENGTH = 1000;

/** What went wrong without stopping the run. */
export function warnings(store: Store): Section {
  const list = h("ol", { class: "warnings" });
  const found = h("p", { class: "found" });
  const element = frame("warnings", "Warnings", found);
  const holder = { class: "warnings-holder", tabindex: 0, role: "region", "aria-label": "Warnings" };
  element.append(h("div", holder, list));
  return {
    ...{ id: "warnings", title: "Warnings", element },
    update(topics) {
      const { warnings: all } = store.run;
      if (touches(topics, "selection", "warnings")) {
        const hidden = all.length - MAX_SHOWN;
        found.textContent = counted(all.length, "warning") + (hidden > 0 ? `, the last ${MAX_SHOWN} shown` : "");
        fill(
          list,
          ...all
            .slice(-MAX_SHOWN)
            .map(({ step, message }) =>
              h("li", {}, h("span", { class: "warning-step" }, `step ${step}`), foreign(message, MAX_LENGTH)),
            ),
        );
      }
      return all.length > 0;
    },
  };
}
