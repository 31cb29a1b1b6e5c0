import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { describeBrowser } from "../support/browser.js";
import { drawnPixels, lowContrast, nameless } from "../support/in-page.js";
import { completion, pageData, pageRun, stepValues } from "../support/page-data.js";
import { PageServer } from "../support/page-server.js";

const EMPTY = { step: [], values: {} };

/** A run that has just begun. */
function starting() {
  const begun = {
    steps: EMPTY,
    evaluations: EMPTY,
    heldOut: undefined,
    gallery: [],
    regressions: [],
    completions: [],
    warnings: [],
  };
  const run = pageRun({ ...structuredClone(begun), status: "running", step: 0, totalSteps: 40 });
  return pageData({ kind: "dashboard", pictures: [], runs: [run], live: { canControl: true, learningRate: 2e-4 } });
}

describeBrowser("a dashboard in the browser", (browser) => {
  const withDashboard = async (
    body: (page: Page, server: PageServer, problems: string[]) => Promise<void>,
    options: { hash?: string; data?: ReturnType<typeof pageData> } = {},
  ) => {
    const server = new PageServer(options.data ?? starting());
    await server.start();
    const context = await browser().newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    const problems: string[] = [];
    page.on("console", (message) => problems.push(message.text()));
    page.on("pageerror", (error) => problems.push(String(error)));
    try {
      await page.goto(server.url + (options.hash ?? ""));
      await body(page, server, problems);
      expect(problems).toEqual([]);
    } finally {
      await context.close();
      await server.stop();
    }
  };
  const connection = (page: Page) => page.locator("header .connection");

  it("draws steps, evaluations, completions, progress and warnings as they come", async () => {
    await withDashboard(async (page, server) => {
      await expect.poll(() => connection(page).textContent()).toBe("Connected");
      expect(await page.locator("canvas").count()).toBe(0);
      for (let step = 1; step <= 30; step += 1) server.send("step", { step, totalSteps: 40, values: stepValues(step) });
      server.send("evaluation", { step: 30, values: { eval_reward: 1.5 } });
      await expect.poll(() => page.locator(".state .steps").textContent()).toBe("step 30 of 40");
      await expect.poll(() => page.locator("[data-chart=reward] .legend-value").allTextContents()).toHaveLength(2);
      const drawn = await page.evaluate(drawnPixels);
      for (const [chart, pixels] of Object.entries(drawn)) expect(pixels, chart).toBeGreaterThan(500);
      server.send("step", { step: 31, totalSteps: 40, values: { ...stepValues(31), reward: 1.777 } });
      await expect.poll(() => page.locator("[data-chart=reward] .legend-value").first().textContent()).toBe("1.777");
      const pictures = { pictures: ["data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="] };
      server.send(
        "completions",
        [completion(31, 8), completion(31, 9)].map((one) => ({ ...one, ...pictures })),
      );
      await expect.poll(() => page.locator(".completion").count()).toBe(2);
      await page.locator(".completion").first().focus();
      server.send("completions", [{ ...completion(32, 10), ...pictures }]);
      await expect.poll(() => page.locator(".completion").count()).toBe(3);
      // New ones come above; the one that is being read keeps the focus.
      expect(
        await page
          .locator(".completion")
          .nth(1)
          .evaluate((one) => one === document.activeElement),
      ).toBe(true);
      server.send("progress", { phase: "sampling", fraction: 0.4 });
      await expect.poll(() => page.locator(".progress .phase").textContent()).toBe("sampling");
      expect(await page.locator(".progress progress").getAttribute("value")).toBe("0.4");
      server.send("warning", { step: 31, message: "a reward failed" });
      await expect.poll(() => page.locator("#warnings li").textContent()).toContain("a reward failed");
      expect(await page.evaluate(lowContrast, 4.5)).toEqual([]);
      expect(await page.evaluate(nameless)).toEqual([]);
    });
  });

  it("draws many steps in few frames", async () => {
    await withDashboard(async (page, server) => {
      await expect.poll(() => connection(page).textContent()).toBe("Connected");
      await page.evaluate(() => {
        const counts = { frames: 0, draws: 0 };
        Object.assign(window, { counts });
        const target = document.querySelector(".state") as HTMLElement;
        new MutationObserver(() => (counts.draws += 1)).observe(target, { childList: true });
        const tick = () => {
          counts.frames += 1;
          requestAnimationFrame(tick);
        };
        tick();
      });
      for (let step = 1; step <= 500; step += 1)
        server.send("step", { step, totalSteps: 500, values: stepValues(step) });
      await expect.poll(() => page.locator(".state .steps").textContent()).toBe("step 500 of 500");
      const counts = await page.evaluate(
        () => (window as unknown as { counts: { frames: number; draws: number } }).counts,
      );
      expect(counts.draws).toBeLessThanOrEqual(counts.frames + 1);
      expect(counts.draws).toBeLessThan(250);
    });
  });

  it("comes back when the server does, and knows when the run has ended", async () => {
    await withDashboard(async (page, server, problems) => {
      await expect.poll(() => connection(page).textContent()).toBe("Connected");
      await server.stop();
      await expect.poll(() => connection(page).textContent()).toBe("Connection lost, trying again");
      const [run] = server.data.runs;
      Object.assign(run as object, { step: 12, steps: { step: [11, 12], values: { reward: [1, 1.25] } } });
      await server.start();
      await expect.poll(() => connection(page).textContent(), { timeout: 10_000 }).toBe("Connected");
      await expect.poll(() => page.locator(".state .steps").textContent()).toBe("step 12 of 40");
      expect(server.connections).toBe(2);
      server.send("status", { status: "finished", step: 40, learningRate: 1e-4 });
      await expect.poll(() => connection(page).textContent()).toBe("The run has ended");
      await server.stop();
      expect(await page.locator("[data-chart=reward] .legend-value").first().textContent()).toBe("1.250");
      expect(await page.getByRole("button", { name: "Pause" }).isDisabled()).toBe(true);
      // The browser itself reports the attempts that failed.
      for (const problem of problems.splice(0)) expect(problem).toMatch(/ERR_|Failed to load resource/);
    });
  });

  it("steers the run with the token of its address, which it hides", async () => {
    await withDashboard(
      async (page, server, problems) => {
        await expect.poll(() => page.url()).toBe(server.url);
        const message = page.locator(".control-message");
        await page.getByRole("button", { name: "Pause" }).click();
        await expect.poll(() => message.textContent()).toBe("The run pauses before its next step.");
        server.send("status", { status: "paused", step: 3, learningRate: 2e-4 });
        await page.getByRole("button", { name: "Continue" }).click();
        await page.getByLabel("Learning rate").fill("0");
        await page.getByRole("button", { name: "Set" }).click();
        await expect.poll(() => message.textContent()).toContain("greater than 0");
        await page.getByLabel("Learning rate").fill("5e-5");
        await page.keyboard.press("Enter");
        await expect.poll(() => server.controls.length).toBe(3);
        await page.getByRole("button", { name: "Stop after checkpoint" }).click();
        await page.keyboard.press("Escape");
        await expect.poll(() => page.locator("dialog.confirm").count()).toBe(0);
        expect(server.controls).toHaveLength(3);
        server.answer = { status: 409, body: { error: "The run has ended.", hint: "Resume it first." } };
        await page.getByRole("button", { name: "Stop after checkpoint" }).click();
        await page.getByRole("button", { name: "Stop the run" }).click();
        await expect.poll(() => message.textContent()).toBe("The run has ended. Resume it first.");
        expect(await message.getAttribute("role")).toBe("status");
        const authorization = "Bearer se/cret";
        expect(server.controls).toEqual([
          { body: { action: "pause" }, authorization },
          { body: { action: "continue" }, authorization },
          { body: { action: "set_learning_rate", value: 5e-5 }, authorization },
          { body: { action: "stop" }, authorization },
        ]);
        await page.reload();
        expect(await page.getByRole("button", { name: /Pause|Continue/ }).isEnabled()).toBe(true);
        for (const problem of problems.splice(0)) expect(problem).toContain("409");
      },
      { hash: "#token=se%2Fcret" },
    );
  });

  it("takes a token that is typed in, and asks anew for a wrong one", async () => {
    await withDashboard(async (page, server, problems) => {
      const pause = page.getByRole("button", { name: "Pause" });
      expect(await pause.isDisabled()).toBe(true);
      expect(await page.locator(".token-form .hint").isVisible()).toBe(true);
      await page.getByLabel("Token").fill("wrong");
      await page.keyboard.press("Enter");
      server.answer = { status: 401, body: { error: "no" } };
      await pause.click();
      await expect.poll(() => page.locator(".control-message").textContent()).toBe("The token was not accepted.");
      expect(await pause.isDisabled()).toBe(true);
      expect(await page.getByLabel("Token").isVisible()).toBe(true);
      for (const problem of problems.splice(0)) expect(problem).toContain("401");
    });
  });

  it("has no controls for a run of another process", async () => {
    const data = { ...starting(), live: { canControl: false, learningRate: 1e-6 } };
    await withDashboard(async (page) => expect(await page.locator(".controls").isVisible()).toBe(false), { data });
  });
});
