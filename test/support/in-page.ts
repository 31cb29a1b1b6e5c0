// Functions that tests run inside of a page: each has to be whole in itself, as only its text goes there.

/** How many pixels each chart has drawn, by the chart's name. */
export function drawnPixels(): Record<string, number> {
  const charts = [...document.querySelectorAll<HTMLElement>("[data-chart]")];
  return Object.fromEntries(
    charts.map((chart) => {
      const canvas = chart.querySelector("canvas") as HTMLCanvasElement;
      const { data } = (canvas.getContext("2d") as CanvasRenderingContext2D).getImageData(
        0,
        0,
        canvas.width,
        canvas.height,
      );
      let count = 0;
      for (let index = 3; index < data.length; index += 4) if ((data[index] as number) > 0) count += 1;
      return [chart.dataset.chart as string, count];
    }),
  );
}

/** Texts whose contrast to their ground is below `least`, as WCAG counts it. */
export function lowContrast(least: number): string[] {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
    willReadFrequently: true,
  }) as CanvasRenderingContext2D;
  const paint = (colours: readonly string[]): number[] => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb: readonly number[]) => {
    const [red, green, blue] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const grounds = (element: Element | null): string[] => {
    if (!element) return ["white"];
    const own = getComputedStyle(element).backgroundColor;
    // A dialog lies above the page, not in what holds it.
    return [...(element.tagName === "DIALOG" ? [] : grounds(element.parentElement)), own];
  };
  const problems = new Set<string>();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement as HTMLElement;
    const text = node.textContent?.trim() ?? "";
    const { width, height } = element.getBoundingClientRect();
    if (text === "" || width <= 1 || height <= 1 || !element.checkVisibility({ visibilityProperty: true })) continue;
    const ground = grounds(element);
    const [a, b] = [luminance(paint([...ground, getComputedStyle(element).color])), luminance(paint(ground))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least)
      problems.add(`${element.className || element.tagName}: ${ratio.toFixed(2)} "${text.slice(0, 40)}"`);
  }
  return [...problems];
}

/** Controls that no label, text or aria-label names, and pictures without an alternative. */
export function nameless(): string[] {
  const controls = [...document.querySelectorAll<HTMLInputElement>("input, select, textarea, button, [role=slider]")];
  const bad = controls.filter((control) => {
    const label = [...(control.labels ?? [])].map(({ textContent }) => textContent).join("");
    const text = control.tagName === "BUTTON" ? control.textContent : "";
    return `${label}${control.getAttribute("aria-label") ?? ""}${text}`.trim() === "";
  });
  const images = [...document.images].filter(({ alt }) => alt === "");
  return [...bad, ...images].map(({ outerHTML }) => outerHTML.slice(0, 120));
}

/** The levels of the headings that can be seen, in their order. */
export function headingLevels(): number[] {
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")];
  return headings.filter((heading) => heading.checkVisibility()).map(({ tagName }) => Number(tagName.slice(1)));
}

/** What is wider than the window: elements that make the whole page scroll sideways. */
export function overflow(): number {
  return document.documentElement.scrollWidth - document.documentElement.clientWidth;
}
