import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect, it } from "vitest";
import { renderPage } from "../../lib/page/html.js";
import type { PageData } from "../../lib/page/page-data.js";
import { describeBrowser } from "../support/browser.js";
import { drawnPixels, headingLevels, lowContrast, nameless, overflow } from "../support/in-page.js";
import { examples, HOSTILE, pageData, pageRun } from "../support/page-data.js";
import { temporaryFolder } from "../support/temporary.js";

const folder = temporaryFolder();
let files = 0;

interface Opened {
  page: Page;
  /** What the browser's console and uncaught errors say. */
  problems: string[];
  requests: string[];
  path: string;
}

/** Renders a page into a file, opens it from there, and holds it to be quiet and to stay on the disk. */
async function withPage(
  browser: Browser,
  data: PageData,
  body: (opened: Opened) => Promise<void>,
  options: BrowserContextOptions = {},
): Promise<void> {
  files += 1;
  const path = join(folder, `page-${files}.html`);
  writeFileSync(path, await renderPage(data));
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    reducedMotion: "reduce",
    ...options,
  });
  const page = await context.newPage();
  const [problems, requests]: [string[], string[]] = [[], []];
  page.on("console", (message) => problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  try {
    await page.goto(pathToFileURL(path).href);
    await body({ page, problems, requests, path });
    expect(problems).toEqual([]);
    expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([pathToFileURL(path).href]);
  } finally {
    await context.close();
  }
}

/** The most that the page adds to its data, in bytes. */
const MAX_BUNDLE = 200_000;

describeBrowser("a report in the browser", (browser) => {
  for (const colorScheme of ["light", "dark"] as const) {
    it(`draws its charts and can be read in ${colorScheme} colours`, async () => {
      await withPage(
        browser(),
        pageData(),
        async ({ page }) => {
          await expect.poll(() => page.locator("canvas").count()).toBeGreaterThan(10);
          expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe(colorScheme);
          const drawn = await page.evaluate(drawnPixels);
          for (const [chart, pixels] of Object.entries(drawn)) expect(pixels, chart).toBeGreaterThan(500);
          expect(Object.keys(drawn)).toEqual(
            expect.arrayContaining([
              "reward",
              "components",
              "held-out",
              "loss",
              "length",
              "entropy",
              "kl",
              "grad-norm",
            ]),
          );
          expect(await page.evaluate(lowContrast, 4.5)).toEqual([]);
          // It does measure: hardly any text has the most that there can be.
          expect((await page.evaluate(lowContrast, 20)).length).toBeGreaterThan(50);
          await page.locator("#gallery .card").nth(2).click();
          expect(await page.evaluate(lowContrast, 4.5)).toEqual([]);
        },
        { colorScheme },
      );
    });
  }

  it("shows hostile text as text", async () => {
    await withPage(browser(), pageData(), async ({ page }) => {
      const cards = page.locator("#gallery .card");
      await expect.poll(() => cards.nth(0).textContent()).toContain(HOSTILE[0]);
      expect(await cards.nth(2).textContent()).toContain("⟨U+202E⟩gnp.exe⟨U+202C⟩");
      expect(await page.locator("#config").textContent()).toContain(HOSTILE[1]);
      expect(await page.locator("#warnings").textContent()).toContain(HOSTILE[0]);
      expect(await page.locator("#gallery bdi[dir=auto]").count()).toBeGreaterThan(24);
      await cards.nth(5).click();
      expect((await page.locator("dialog .whole-text").last().textContent())?.length).toBe(HOSTILE[5]?.length);
      expect(await page.evaluate(() => "hacked" in window)).toBe(false);
    });
  });

  it("names every control and keeps its headings in order", async () => {
    await withPage(browser(), pageData(), async ({ page }) => {
      await page.locator(".more summary").click();
      expect(await page.evaluate(nameless)).toEqual([]);
      const levels = await page.evaluate(headingLevels);
      expect(levels.filter((level) => level === 1)).toHaveLength(1);
      for (const [index, level] of levels.entries()) expect(level).toBeLessThanOrEqual((levels[index - 1] ?? 0) + 1);
      expect(await page.locator("[data-chart=reward]").getAttribute("aria-label")).toMatch(
        /^Reward\. Training: first 1\.\d+, last 1\.\d+, least .+, greatest .+\. Held-out: first 1\.402, last 1\.871/,
      );
    });
  });

  it("says which held-out differences are more than chance", async () => {
    await withPage(browser(), pageData(), async ({ page }) => {
      const verdicts = await page
        .locator("#held-out tbody tr")
        .evaluateAll((rows) =>
          rows.map((row) => [row.firstElementChild?.textContent, row.lastElementChild?.textContent]),
        );
      expect(verdicts).toEqual([
        ["Reward", "▲ better"],
        ["Right name", "▲ better"],
        ["Right number", "● no clear difference"],
        ["Right format", "● no clear difference"],
        ["Tokens", "● fewer"],
        ["Rewards / content", "▲ better"],
        ["Rewards / format", "▼ worse"],
      ]);
      const texts = await page.locator("#overview .stat").allTextContents();
      expect(texts[0]).toBe("Held-out reward1.402→1.871▲ +0.46995 %: +0.409 to +0.529");
    });
  });

  it("goes through the gallery by keys", async () => {
    await withPage(browser(), pageData(), async ({ page }) => {
      await page.keyboard.press("Tab");
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
      const cards = page.locator("#gallery .card");
      await page.locator('#gallery input[type="radio"]').first().focus();
      for (let tab = 0; tab < 3; tab += 1) await page.keyboard.press("Tab");
      const focused = () =>
        page.evaluate(() =>
          [...document.querySelectorAll("#gallery .card")].indexOf(document.activeElement as Element),
        );
      expect(await focused()).toBe(0);
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowDown");
      const reached = await focused();
      expect(reached).toBeGreaterThan(2);
      await page.keyboard.press("Enter");
      const title = page.locator("dialog h2");
      expect(await title.textContent()).toBe(`Example ${reached + 1} of 60`);
      expect(await page.locator("dialog ins, dialog del").count()).toBeGreaterThan(0);
      await page.keyboard.press("ArrowRight");
      expect(await title.textContent()).toBe(`Example ${reached + 2} of 60`);
      await page.keyboard.press("Escape");
      await expect.poll(() => page.locator("dialog[open]").count()).toBe(0);
      await expect.poll(focused).toBe(reached + 1);
      // Tab leaves the cards at once: they are one stop, not sixty.
      await page.keyboard.press("Tab");
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Show 24 more of 36");
      await page.keyboard.press("Enter");
      expect(await cards.count()).toBe(48);
      expect(await focused()).toBe(24);
    });
  });

  it("filters, searches and sorts the gallery", async () => {
    await withPage(browser(), pageData(), async ({ page }) => {
      const found = page.locator("#gallery .found");
      const cards = page.locator("#gallery .card");
      await page.getByLabel(/^Worse \d+$/).check();
      expect(await found.textContent()).toBe("5 examples");
      for (const text of await cards.allTextContents()) expect(text).toContain("▼ worse");
      await page.getByLabel(/^All \d+$/).check();
      await page.getByLabel("Search the examples").fill("玉米 eggplant");
      const texts = await cards.allTextContents();
      expect(texts.length).toBeGreaterThan(3);
      for (const text of texts) expect(text).toMatch(/玉米.*eggplant|eggplant.*玉米/s);
      await page.getByLabel("Search the examples").fill("nothing has this");
      expect(await page.locator("#gallery .empty").isVisible()).toBe(true);
      await page.getByLabel("Search the examples").fill("");
      await page.getByLabel("Order of the examples").selectOption("loss");
      expect(await cards.first().textContent()).toContain("▼ worse");
    });
  });

  it("reads a chart by keys, zooms, and shows it as a table", async () => {
    await withPage(browser(), pageData(), async ({ page }) => {
      const chart = page.locator("[data-chart=reward]");
      const other = page.locator("[data-chart=entropy]");
      const plot = chart.getByRole("slider");
      await plot.focus();
      await page.keyboard.press("Home");
      expect(await plot.getAttribute("aria-valuetext")).toBe("step 0: Training –, Held-out 1.402");
      await page.keyboard.press("ArrowRight");
      expect(await plot.getAttribute("aria-valuenow")).toBe("1");
      // The cursor is the same in all charts.
      expect(await other.getByRole("slider").getAttribute("aria-valuenow")).toBe("1");
      const reset = page.getByRole("button", { name: "Reset zoom" });
      await page.keyboard.press("+");
      expect(await reset.isVisible()).toBe(true);
      await reset.click();
      const box = await chart.locator(".u-over").boundingBox();
      if (!box) throw new Error("no plot");
      await page.mouse.move(box.x + 200, box.y + 50);
      await page.mouse.down();
      await page.mouse.move(box.x + 500, box.y + 60, { steps: 4 });
      await page.mouse.up();
      expect(await reset.isVisible()).toBe(true);
      await page.getByRole("button", { name: "Show as a table: Reward", exact: true }).click();
      expect(await chart.locator("tbody tr").count()).toBe(121);
      await page.getByRole("button", { name: "Logarithmic scale: Entropy" }).click();
      const line = chart.getByRole("button", { name: /^Training/ });
      await line.click();
      expect(await line.getAttribute("aria-pressed")).toBe("false");
      await page.getByLabel("Smoothing").fill("0");
      expect(await page.locator("#curves output").textContent()).toBe("0.00");
    });
  });

  it("shows several runs side by side", async () => {
    const other = pageRun({ name: "beta-0.04", config: { model: "m", beta: 0.1 }, gallery: examples(3) }, 80);
    const data = pageData({ title: "Two of them", runs: [pageRun({ name: "beta-0" }), other] });
    await withPage(browser(), data, async ({ page }) => {
      expect(await page.locator("h1").textContent()).toBe("Two of them");
      const legend = page.locator("[data-chart=reward] .legend-label");
      expect(await legend.allTextContents()).toEqual([
        ...["beta-0: Training", "beta-0: Held-out", "beta-0.04: Training", "beta-0.04: Held-out"],
      ]);
      const strokes = await page
        .locator("[data-chart=entropy] .swatch")
        .evaluateAll((signs) =>
          signs.map((sign) => [
            getComputedStyle(sign).color,
            sign.querySelector("line")?.getAttribute("stroke-dasharray"),
          ]),
        );
      expect(strokes[0]?.[0]).not.toBe(strokes[1]?.[0]);
      expect(strokes[0]?.[1]).not.toBe(strokes[1]?.[1]);
      await page.getByLabel("Run of the gallery, completions and data").selectOption("1");
      await expect.poll(() => page.locator("#gallery .card").count()).toBe(3);
      const rows = await page.locator("#config .pairs tr").count();
      await page.getByLabel("Only what differs").check();
      expect(await page.locator("#config .pairs tr").count()).toBeLessThan(rows);
    });
  });

  it("stands a run with nothing in it, and says what it left out", async () => {
    const nothing = {
      ...{ steps: { step: [], values: {} }, evaluations: { step: [], values: {} }, gallery: [], regressions: [] },
      ...{ completions: [], warnings: [], config: {}, environment: {}, heldOut: undefined, data: undefined, step: 0 },
    };
    const reason = `the disk was full: /${"long".repeat(500)}`;
    const data = pageData({ runs: [pageRun({ ...nothing, status: "failed", reason })] });
    await withPage(browser(), data, async ({ page }) => {
      await expect.poll(() => page.locator("footer").textContent()).toContain("Curves, Held-out, Gallery");
      expect(await page.locator(".state").textContent()).toContain("the disk was full");
      expect(await page.evaluate(overflow)).toBe(0);
    });
    await withPage(browser(), pageData({ runs: [] }), async ({ page }) => {
      await expect.poll(() => page.locator("#overview").textContent()).toContain("There is no run to show.");
    });
  });

  it("fits a phone, and paper", async () => {
    await withPage(
      browser(),
      pageData(),
      async ({ page }) => {
        await expect.poll(() => page.locator("canvas").count()).toBeGreaterThan(10);
        expect(await page.evaluate(overflow)).toBe(0);
        await page.evaluate(() =>
          addEventListener("beforeprint", () =>
            document.body.setAttribute("data-printed", document.documentElement.dataset.theme ?? ""),
          ),
        );
        const pdf = await page.pdf({ format: "A4" });
        expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
        expect(pdf.toString("latin1").match(/\/Type \/Page\b/g)?.length).toBeGreaterThan(2);
        expect(await page.locator("body").getAttribute("data-printed")).toBe("light");
        expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
        // About what the margins of A4 leave.
        await page.setViewportSize({ width: 690, height: 1000 });
        await page.emulateMedia({ media: "print" });
        expect(await page.locator("header.top").isVisible()).toBe(false);
        expect(await page.evaluate(overflow)).toBe(0);
      },
      { viewport: { width: 390, height: 800 }, colorScheme: "dark" },
    );
  });

  it("remembers the colours", async () => {
    await withPage(browser(), pageData(), async ({ page, requests }) => {
      await page.getByLabel("Colours").selectOption("dark");
      await page.reload();
      expect(await page.getByLabel("Colours").inputValue()).toBe("dark");
      expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
      requests.length = 1;
    });
  });

  it("is small, and quick with much data", async () => {
    const empty = await renderPage(pageData({ runs: [], pictures: [] }));
    expect(empty.length).toBeLessThan(MAX_BUNDLE);
    const much = pageData({ runs: [pageRun({ gallery: examples(500) }, 2000)] });
    await withPage(browser(), much, async ({ page, path }) => {
      await expect.poll(() => page.locator("canvas").count()).toBeGreaterThan(10);
      expect(await page.locator("#gallery .card").count()).toBe(24);
      const took = await page.evaluate(
        () => performance.getEntriesByType("navigation").map(({ duration }) => duration)[0],
      );
      // Half a second, but of a machine that does other things too.
      expect(took).toBeLessThan(15_000);
      expect(statSync(path).size).toBeLessThan(3e6);
    });
  });
});
