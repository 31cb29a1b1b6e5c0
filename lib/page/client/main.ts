import type { PageData } from "../page-data.js";
import { bar } from "./bar.js";
import { Dialog } from "./base/dialog.js";
import { fill, h } from "./base/dom.js";
import { Store, type Topic } from "./base/store.js";
import { lightWhilePrinting } from "./base/theme.js";
import { Controls } from "./live/controls.js";
import { follow } from "./live/follow.js";
import { completions } from "./sections/completions.js";
import { config } from "./sections/config.js";
import { curves } from "./sections/curves.js";
import { data } from "./sections/data.js";
import { gallery } from "./sections/gallery.js";
import { heldOut } from "./sections/held-out.js";
import { overview } from "./sections/overview.js";
import { regressions } from "./sections/regressions.js";
import { warnings } from "./sections/warnings.js";

start(JSON.parse(document.getElementById("page-data")?.textContent ?? "") as PageData);

function start(initial: PageData): void {
  const store = new Store(initial);
  const dialog = new Dialog();
  const drawn = curves(store);
  const summary = overview(store);
  const sections = [
    ...[summary, drawn, heldOut(store), gallery(store, dialog), regressions(store, dialog)],
    ...[completions(store, dialog), data(store), config(store), warnings(store)],
  ];
  const controls = initial.kind === "dashboard" ? new Controls(store) : null;
  if (controls) summary.element.append(controls.element);
  const top = bar(store, sections, () => drawn.redraw());
  const leftOut = h("p", { class: "note" });
  const main = h("main", { id: "main", tabindex: -1 }, ...sections.map(({ element }) => element));
  const skip = h("a", { class: "skip", href: "#main" }, "Skip to the content");
  fill(document.getElementById("app") as HTMLElement, skip, top.element, main, h("footer", {}, leftOut));

  const update = (topics: ReadonlySet<Topic>) => {
    const shown = sections.filter((section) => {
      const isShown = section.update(topics);
      section.element.hidden = !isShown;
      return isShown;
    });
    top.showSections(new Set(shown.map(({ id }) => id)));
    top.update(topics);
    controls?.update(topics);
    const missing = sections.filter((section) => !shown.includes(section)).map(({ title }) => title);
    leftOut.textContent = missing.length > 0 ? `Left out, as there is nothing to show: ${missing.join(", ")}.` : "";
  };
  store.subscribe(update);
  update(new Set<Topic>(["page"]));
  lightWhilePrinting(() => drawn.redraw());
  if (initial.kind === "dashboard") follow(store);
}
