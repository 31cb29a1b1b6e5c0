import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, it } from "vitest";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The Chromium of this machine: `CHROMIUM_PATH`, or one on the PATH. */
export function chromiumPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const paths = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [process.env.CHROMIUM_PATH, ...paths].find((path) => path !== undefined && path !== "" && existsSync(path));
}

/**
 * A `describe` for tests that need a browser: without one they are skipped, and say so; with `VLMR1_REQUIRE_BROWSER=1`
 * they fail.
 */
export function describeBrowser(name: string, body: (browser: () => Browser) => void): void {
  const path = chromiumPath();
  if (path === undefined) {
    const missing = `no Chromium: set CHROMIUM_PATH, or install ${NAMES.join(" or ")}`;
    const required = process.env.VLMR1_REQUIRE_BROWSER === "1";
    describe(name, () => {
      it.skipIf(!required)(`needs a browser (${missing})`, () => {
        throw new Error(missing);
      });
    });
    return;
  }
  let browser: Browser | undefined;
  describe(name, () => {
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-gpu"] });
    });
    afterAll(() => browser?.close());
    body(() => {
      if (!browser) throw new Error("the browser has not started");
      return browser;
    });
  });
}
