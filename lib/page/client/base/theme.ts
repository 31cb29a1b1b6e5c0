import { h } from "./dom.js";

const KEY = "vlmr1-theme";
type Theme = "system" | "light" | "dark";
const SYSTEM = matchMedia("(prefers-color-scheme: dark)");
const NAMES: Record<Theme, string> = { system: "System", light: "Light", dark: "Dark" };

/** A choice between light, dark and what the system says; it is remembered where the browser allows that. */
export function themeSwitch(onChange: () => void): HTMLElement {
  const stored = remembered();
  apply(stored);
  SYSTEM.addEventListener("change", () => {
    apply(select.value as Theme);
    onChange();
  });
  const select = h(
    "select",
    {
      class: "select",
      "aria-label": "Colours",
      onchange: () => {
        const theme = select.value as Theme;
        apply(theme);
        remember(theme);
        onChange();
      },
    },
    ...Object.entries(NAMES).map(([value, name]) => h("option", { value, selected: value === stored }, name)),
  );
  return select;
}

/** A variable of the styles as it is now, such as "--accent". */
export function cssVariable(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Draws in light colours as long as the page is printed: paper is white. */
export function lightWhilePrinting(redraw: () => void): void {
  const root = document.documentElement;
  let before = "light";
  addEventListener("beforeprint", () => {
    before = root.dataset.theme ?? "light";
    root.dataset.theme = "light";
    redraw();
  });
  addEventListener("afterprint", () => {
    root.dataset.theme = before;
    redraw();
  });
}

function apply(theme: Theme): void {
  const dark = theme === "dark" || (theme === "system" && SYSTEM.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

/** Storage is refused to some pages: those of the disk, those in a private window. */
function remembered(): Theme {
  try {
    const stored = localStorage.getItem(KEY);
    return stored !== null && Object.hasOwn(NAMES, stored) ? (stored as Theme) : "system";
  } catch {
    return "system";
  }
}

function remember(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is closed.
  }
}
