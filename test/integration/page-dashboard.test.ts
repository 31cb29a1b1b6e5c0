import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { expect, it } from "vitest";
import { serveRuns } from "../../lib/page/server/serve-runs.js";
import type { Trainer } from "../../lib/trainer/index.js";
import { describeBrowser } from "../support/browser.js";
import { goldenPath } from "../support/golden.js";
import { drawnPixels, lowContrast } from "../support/in-page.js";
import { temporaryFolder } from "../support/temporary.js";
import { banditEngine, banditRun, rows, runAll } from "../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);

/** Opens a dashboard's page, and holds it to be quiet and to talk to its server alone. */
async function withPage(browser: Browser, url: string, body: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  const problems: string[] = [];
  const foreign: string[] = [];
  page.on("console", (message) => problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith("data:") && new URL(request.url()).host !== new URL(url).host) {
      foreign.push(request.url());
    }
  });
  try {
    await page.goto(url);
    await body(page);
    expect({ problems, foreign }).toEqual({ problems: [], foreign: [] });
  } finally {
    await context.close();
  }
}

interface Started {
  trainer: Trainer;
  all: Promise<unknown>;
  url: string;
  /** Milliseconds that a step takes at least. */
  pace: { step: number };
}

const STEPS = 40;

/** A run over rows with a picture, whose steps are as long as a page needs to be looked at. */
async function start(): Promise<Started> {
  const dataset = rows(8).map((row) => ({
    ...row,
    images: [goldenPath("images/square.png")],
    messages: [
      { role: "user" as const, content: [{ type: "image" as const }, { type: "text" as const, text: "Which food?" }] },
    ],
  }));
  const options = { dataset, maxSteps: STEPS, dashboard: 0, lrSchedulerType: "constant" } as const;
  const trainer = banditRun(await banditEngine(), newRun(), options);
  const pace = { step: 250 };
  trainer.on("step", () => new Promise((resolve) => setTimeout(resolve, pace.step)));
  trainer.pause();
  const opened = new Promise<{ url: string }>((resolve) => trainer.once("dashboard", resolve));
  const all = runAll(trainer);
  return { trainer, all, pace, url: (await opened).url };
}

/** Steps that the reward's chart has, as its table says. */
async function charted(page: Page): Promise<string | null> {
  return page.locator("[data-chart=reward]").getAttribute("aria-label");
}

describeBrowser("a dashboard in the browser", (browser) => {
  it("shows a run as it goes on and steers it; all stays over a reload and after the end", async () => {
    const { trainer, all, url, pace } = await start();
    await withPage(browser(), url, async (page) => {
      const state = page.locator(".state");
      const pause = page.getByRole("button", { name: /^(Pause|Continue)$/ });
      await expect.poll(() => pause.textContent()).toBe("Continue");
      // The token is not left in the address.
      expect(page.url()).not.toContain("token");
      await pause.click();
      await expect.poll(() => page.locator("#completions li").count()).toBeGreaterThan(0);
      await expect.poll(() => page.locator("[data-chart=reward] canvas").count()).toBe(1);
      const shown = page.locator("#completions img").first();
      await expect.poll(() => shown.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(0);

      await pause.focus();
      await page.keyboard.press("Enter");
      await expect.poll(() => pause.textContent()).toBe("Continue");
      await expect.poll(() => trainer.paused).toBe(true);
      const before = await charted(page);
      await page.waitForTimeout(300);
      expect(await charted(page)).toBe(before);

      const rate = page.getByRole("spinbutton", { name: "Learning rate" });
      await rate.fill("0.125");
      await rate.press("Enter");
      await expect.poll(() => trainer.learningRate).toBe(0.125);
      await expect.poll(() => page.locator(".control-message").textContent()).toContain("learning rate changes");

      await page.reload();
      await expect.poll(() => pause.textContent()).toBe("Continue");
      expect(await charted(page)).toBe(before);
      expect(await page.locator("#completions li").count()).toBeGreaterThan(0);
      expect(await rate.inputValue()).toBe("0.125");
      pace.step = 0;
      await pause.click();

      await all;
      await expect.poll(() => state.textContent()).toMatch(/finished/i);
      await expect.poll(() => page.locator("#warnings").textContent()).toContain("changed from 0.5 to 0.125");
      const drawn = await page.evaluate(drawnPixels);
      expect(drawn.reward).toBeGreaterThan(500);
      expect(await page.evaluate(lowContrast, 4.5)).toEqual([]);
      await trainer.dispose();
      await expect.poll(() => page.locator(".connection").textContent()).toMatch(/ended/i);
      expect(await pause.isDisabled()).toBe(true);
      await page.getByRole("button", { name: "Show as a table: Reward", exact: true }).click();
      expect(await page.locator("[data-chart=reward] tbody tr").count()).toBe(STEPS);
    });
  });

  it("stops a run behind a checkpoint once that is confirmed; without the token nothing can be steered", async () => {
    const { trainer, all, url } = await start();
    await withPage(browser(), url.split("#")[0] as string, async (page) => {
      const pause = page.getByRole("button", { name: /^(Pause|Continue)$/ });
      await expect.poll(() => pause.count()).toBe(1);
      expect(await pause.isDisabled()).toBe(true);
      await page.getByLabel("Token", { exact: true }).fill(url.split("token=")[1] as string);
      await page.keyboard.press("Enter");
      await pause.click();
      await page.getByRole("button", { name: "Stop after checkpoint" }).click();
      await page.keyboard.press("Escape");
      expect(await page.locator("dialog[open]").count()).toBe(0);
      await page.getByRole("button", { name: "Stop after checkpoint" }).click();
      await page.getByRole("button", { name: "Stop the run" }).click();
      await all;
      await expect.poll(() => page.locator(".state").textContent()).toContain("stopped on its dashboard");
    });
    expect((await trainer.state())?.step).toBeLessThan(STEPS);
    await trainer.dispose();
  });

  it("shows runs of before side by side, with nothing to steer", async () => {
    const folders = [newRun(), newRun()];
    for (const [index, outputDir] of folders.entries()) {
      const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 4, seed: index });
      await runAll(trainer);
      await trainer.dispose();
    }
    const served = await serveRuns(folders, { host: "127.0.0.1", port: 0, version: "1.2.3" });
    await withPage(browser(), served.url, async (page) => {
      await expect.poll(() => page.locator("[data-chart=reward] .legend-label").count()).toBe(2);
      expect(await page.getByRole("button", { name: "Pause" }).isVisible()).toBe(false);
      await expect.poll(() => page.locator(".connection").textContent()).toMatch(/connected|live|ended/i);
    });
    await served.close();
  });
});
