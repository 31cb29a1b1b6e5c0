import type { Dialog } from "../base/dialog.js";
import { fill, h, newId } from "../base/dom.js";
import type { Store } from "../base/store.js";
import { counted } from "../base/text.js";
import { CardList } from "./card-list.js";
import { chooseExamples, countFilters, FILTERS, type Filter, ORDERS, type Order } from "./choose-examples.js";
import { empty, frame, type Section, touches } from "./section.js";

/** Held-out questions with their pictures and the answers before and after. */
export function gallery(store: Store, dialog: Dialog): Section {
  const list = new CardList(store, dialog, "Examples");
  const found = h("p", { class: "found", role: "status" });
  const nothing = empty("No example fits this filter and search.");
  const state: { filter: Filter; search: string; order: Order } = { filter: "all", search: "", order: "given" };
  const draw = () => {
    const chosen = chooseExamples(store.run.gallery, state.filter, state.search, state.order);
    found.textContent = counted(chosen.length, "example");
    nothing.hidden = chosen.length > 0;
    list.show(chosen);
  };
  const filters = h("fieldset", { class: "segments" });
  const drawFilters = () => {
    const counts = countFilters(store.run.gallery);
    fill(
      filters,
      h("legend", { class: "unseen" }, "Which examples"),
      ...segments(state.filter, counts, (filter) => {
        state.filter = filter;
        draw();
      }),
    );
  };
  const search = searchField("Search the examples", (text) => {
    state.search = text;
    draw();
  });
  const sort = sortField((order) => {
    state.order = order;
    draw();
  });
  const element = frame("gallery", "Gallery", found);
  element.append(h("div", { class: "toolbar wrap" }, filters, search, sort), list.element, nothing);
  return {
    ...{ id: "gallery", title: "Gallery", element },
    update(topics) {
      if (touches(topics, "selection")) {
        drawFilters();
        draw();
      }
      return store.run.gallery.length > 0;
    },
  };
}

function segments(current: Filter, counts: Record<Filter, number>, onChange: (filter: Filter) => void): HTMLElement[] {
  const name = newId("filter");
  return (Object.keys(FILTERS) as Filter[]).map((filter) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name, value: filter, checked: filter === current, onchange: () => onChange(filter) }),
      h("span", {}, FILTERS[filter], " ", h("span", { class: "count" }, counts[filter])),
    ),
  );
}

export function searchField(label: string, onChange: (text: string) => void): HTMLElement {
  const input = h("input", {
    ...{ type: "search", class: "search", placeholder: "Search", "aria-label": label },
    oninput: () => onChange(input.value),
  });
  return input;
}

function sortField(onChange: (order: Order) => void): HTMLElement {
  const select = h(
    "select",
    { class: "select", "aria-label": "Order of the examples", onchange: () => onChange(select.value as Order) },
    ...Object.entries(ORDERS).map(([value, text]) => h("option", { value }, text)),
  );
  return select;
}
