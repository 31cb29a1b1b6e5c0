// Takes the pictures of the report and of the dashboard that the documentation shows:
//   node scripts/food/make-screenshots.mjs              trains the food example, and takes all three
//   node scripts/food/make-screenshots.mjs --run DIR    of a run that there is: the two of its report
//   … --max-steps N --out FOLDER                        a shorter run; where the pictures go (docs)
// dashboard.png is of the run while it goes on, report-light.png and report-dark.png are of its end. It needs the build
// (npm run build) and a Chromium: CHROMIUM_PATH, or one on the PATH.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import sharp from "sharp";

const root = fileURLToPath(new URL("../../", import.meta.url));
const cli = join(root, "dist/cli/main.js");
const { values: options } = parseArgs({
  options: {
    run: { type: "string" },
    "max-steps": { type: "string", default: "500" },
    out: { type: "string", default: join(root, "docs") },
  },
});
const SEED = 1;
const steps = Number(options["max-steps"]);
const VIEWPORT = { width: 1280, height: 1500 };
const MOST_BYTES = 250_000;

const folder = mkdtempSync(join(tmpdir(), "vlmr1-screenshots-"));
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox", "--disable-gpu"] });
try {
  // Its name is the title of the page.
  const run = options.run ?? join(folder, "food");
  if (options.run === undefined) await train(run);
  const report = join(folder, "report.html");
  await ended(start(["report", run, "--out", report]));
  const url = pathToFileURL(report).href;
  for (const colorScheme of ["light", "dark"]) await takeReport(url, colorScheme);
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Trains the food example, and takes its dashboard when half of the steps are done. */
async function train(run) {
  const child = start([
    ...["train", "--output-dir", run, "--seed", `${SEED}`, "--max-steps", `${steps}`],
    ...["--eval-steps", `${Math.ceil(steps / 10)}`, "--dashboard", "0", "--no-report"],
  ]);
  const finished = ended(child);
  // Waited for below; an error before that is told there.
  finished.catch(() => {});
  try {
    await takeDashboard(await Promise.race([addressIn(child.stderr), finished]));
    await finished;
  } finally {
    child.kill();
  }
}

function start(args) {
  const child = spawn(process.execPath, [cli, ...args], { cwd: root, stdio: ["ignore", "inherit", "pipe"] });
  child.stderr.pipe(process.stderr);
  return child;
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`${child.spawnargs.slice(1).join(" ")}: ended with ${code ?? signal}`)),
    );
  });
}

/** With the token, so that the page can steer the run. */
async function addressIn(stream) {
  for await (const line of createInterface({ input: stream })) {
    const [, url] = /^dashboard: (http\S+)$/.exec(line) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error("the run printed no dashboard's address");
}

async function takeDashboard(url) {
  const page = await open(url, "light");
  const done = Math.floor(steps / 2);
  await page.waitForFunction(
    (least) => Number(/step ([\d,]+)/.exec(document.querySelector(".steps")?.textContent ?? "")?.[1]) >= least,
    done,
    { timeout: 0, polling: 200 },
  );
  // Loaded anew it smooths its curves, as a page does that is opened at this step.
  await page.reload();
  await page.locator(".connection.connected").waitFor();
  await page.getByRole("button", { name: "Pause", disabled: false }).waitFor();
  await take(page, "dashboard.png");
}

async function takeReport(url, colorScheme) {
  await take(await open(url, colorScheme), `report-${colorScheme}.png`);
}

async function open(url, colorScheme) {
  const page = await browser.newPage({ viewport: VIEWPORT, colorScheme });
  await page.goto(url);
  await page.locator("[data-chart] canvas").first().waitFor();
  return page;
}

/** Down to the end of the first row of small charts. With a palette, which is a third of the size; what is drawn has few colours. */
async function take(page, name) {
  // Charts are drawn with the next frame.
  await page.waitForTimeout(500);
  const lastChart = await page.locator(".charts > :nth-child(4)").first().boundingBox();
  const height = Math.ceil(lastChart.y + lastChart.height) + 16;
  const picture = await page.screenshot({ clip: { x: 0, y: 0, width: VIEWPORT.width, height } });
  const path = join(options.out, name);
  await sharp(picture).png({ palette: true, colours: 256, effort: 10 }).toFile(path);
  const { size } = statSync(path);
  if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MOST_BYTES}`);
  console.log(`${path}: ${Math.round(size / 1000)} kB`);
  await page.close();
}

function chromiumPath() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const paths = names.flatMap((name) => folders.map((path) => join(path, name)));
  const found = [process.env.CHROMIUM_PATH, ...paths].find((path) => path && existsSync(path));
  if (found === undefined) throw new Error(`no Chromium: set CHROMIUM_PATH, or install ${names.join(" or ")}`);
  return found;
}
