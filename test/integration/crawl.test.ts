import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { jsonLines, runCli } from "../support/cli.js";
import { status } from "../support/crawl-site.js";
import { foodSite } from "../support/crawl-site-food.js";
import { startCli } from "../support/golden-run.js";
import { temporaryFolder } from "../support/temporary.js";

const folder = temporaryFolder();
const { site, startUrl, pages } = await foodSite(9, 10, 2);
const PICTURES = 120;
const args = (out: string, ...more: string[]) => [
  ...["crawl", "--start-url", startUrl, "--out", join(folder, out), "--allow-private", "--delay", "0", ...more],
];
const csvOf = (out: string) => readFileSync(join(folder, out, "items.csv"));
const imagesOf = (out: string) => readdirSync(join(folder, out, "images")).sort();

const whole = await startCli(args("whole")).ended;

describe("the built-in site", () => {
  test("comes whole: nine groups of ten pages, with progress by group and page", () => {
    expect(whole).toMatchObject({
      code: 0,
      text: expect.stringContaining("180 items, 180 with a picture (120 files) from 90 pages"),
    });
    expect(whole.text).toContain("group 1, page 1 (1/90 pages), pictures 2/2; 2 items, 0 problems");
    expect(whole.text).toContain("group 9, page 10 (90/90 pages)");
    const [head, first] = csvOf("whole").toString("utf8").split("\n");
    expect(head).toBe("\uFEFFname,heat,image,image_path");
    expect(first).toMatch(/^食物1,3 大卡\(每100克\),http:.*\/img\/1\.png,images\/[0-9a-f]{16}\.png$/);
    expect(imagesOf("whole")).toHaveLength(PICTURES);
    expect(existsSync(join(folder, "whole", "crawl-report.json"))).toBe(true);
    expect(site.requests[0]?.headers).toMatchObject({
      "user-agent": expect.stringContaining("Mozilla/5.0"),
      referer: "http://www.boohee.com/food/",
    });
  });

  test("killed at several moments and resumed, ends in the same bytes, and asks for little twice", async () => {
    site.asked.length = 0;
    const kills = [1, 30, 100, 180];
    for (const [index, at] of kills.entries()) {
      const run = startCli(args("killed", ...(index === 0 ? [] : ["--resume"])));
      let over = false;
      void run.ended.then(() => {
        over = true;
      });
      while (site.asked.length < at && !over) await sleep(1);
      expect(over).toBe(false);
      run.kill("SIGKILL");
      expect((await run.ended).code).toBe(null);
    }
    const last = await startCli(args("killed", "--resume")).ended;
    expect(last.code).toBe(0);
    expect(csvOf("killed").equals(csvOf("whole"))).toBe(true);
    expect(imagesOf("killed")).toEqual(imagesOf("whole"));
    // A kill loses what was under way: a page, or the pictures that were fetched side by side.
    const again = site.asked.length - (kills.length + 1) - pages.length - PICTURES;
    expect(again).toBeLessThanOrEqual(kills.length * 4);
  });

  test("interrupted, ends in order and says how to go on", async () => {
    site.asked.length = 0;
    const run = startCli(args("interrupted", "--max-items", "150"));
    while (site.asked.length < 60) await sleep(1);
    run.kill("SIGINT");
    const { code, text } = await run.ended;
    expect(code).toBe(130);
    expect(text).toContain(`--out ${join(folder, "interrupted")}`);
    expect(text).toMatch(
      /to go on: vlmr1-native crawl --site food-list .* --max-items 150 --delay 0 --allow-private --resume\n/,
    );
    const partial = csvOf("interrupted");
    expect(partial.length).toBeGreaterThan(200);
    expect(csvOf("whole").subarray(0, partial.length).equals(partial)).toBe(true);
    expect((await startCli(args("interrupted", "--resume")).ended).code).toBe(0);
    expect(csvOf("interrupted").equals(csvOf("whole"))).toBe(true);
  });

  test.skipIf(process.platform === "win32")("on a full disk says so, and goes on when there is room", async () => {
    const full = await startCli(args("full"), 8).ended;
    expect(full.code).toBe(1);
    expect(full.text).toMatch(
      /error \[ERR_IO\] cannot write the crawl's state .*crawl-state\.jsonl: the file would be larger/,
    );
    expect(full.text).toContain("hint: What was fetched is kept: with room on the disk, --resume goes on.");
    expect((await startCli(args("full", "--resume")).ended).code).toBe(0);
    expect(csvOf("full").equals(csvOf("whole"))).toBe(true);
    const picture = await startCli(args("picture"), 1).ended;
    expect(picture.text).toMatch(/error \[ERR_IO\] cannot write the picture .*\.png: the file would be larger/);
    expect(readdirSync(join(folder, "picture", "images"))).toEqual([]);
  });
});

describe("the command", () => {
  test("prints JSON", async () => {
    const { code, stdout } = await runCli(args("json", "--max-items", "3", "--json"));
    expect(code).toBe(0);
    expect(jsonLines(stdout)).toEqual([
      expect.objectContaining({
        site: "food-list",
        items: 3,
        duplicates: 0,
        problems: [],
        csv: join(folder, "json", "items.csv"),
      }),
    ]);
  });

  test("shows a dry run", async () => {
    const { code, stdout } = await runCli(args("dry", "--dry-run"));
    expect(code).toBe(0);
    expect(stdout).toContain("?page=1: 2 items\n\n  name: 食物1\n  heat: 3 大卡(每100克)\n");
    expect(stdout).toContain("90 pages, at least 0 s with the pauses between them; nothing was written");
    expect(existsSync(join(folder, "dry"))).toBe(false);
  });

  test("warns of what failed, and tries it again when it is resumed", async () => {
    site.on("/img/1.png", status(503));
    const some = (...more: string[]) => runCli(args("warned", "--max-items", "2", "--retries", "0", ...more));
    const first = await some();
    expect(first).toMatchObject({ code: 0, stderr: expect.stringMatching(/warning: .*1\.png: .* answered 503/) });
    expect(first.stdout).toContain("1 of the problems may pass: --resume tries these again");
    site.on(
      "/img/1.png",
      readFileSync(join(folder, "whole", csvOf("whole").toString().split("\n")[1]?.split(",")[3] ?? "")),
    );
    expect((await some("--resume")).stdout).toContain("2 items, 2 with a picture (2 files)");
    expect((await some("--resume")).stdout).toContain("nothing was left to fetch");
  });

  test.each([
    [["--site", "foodlist"], 2, /ERR_USAGE\] there is no site "foodlist"\nhint: Did you mean "food-list"/],
    [["--delay", "-1"], 2, /ERR_CONFIG\] delay \(from --delay\): expected at least 0/],
    [["--max_items", "0"], 2, /ERR_CONFIG\] max_items .*: expected at least 1/],
    [["--site", "./none.yaml"], 1, /ERR_NOT_FOUND\]/],
    [["--start-url", "ftp://127.0.0.1/"], 2, /ERR_CONFIG\] start\[0\]\.url: not an address of the web: ftp/],
    [["--start-url", "list"], 2, /ERR_CONFIG\] start\[0\]\.url: not an address of the web: list/],
    [
      ["--no-allow-private"],
      1,
      /ERR_PRIVATE_ADDRESS\] 127\.0\.0\.1 is no public address \(loopback\).*\nhint: --allow-private/,
    ],
  ])("refuses %j", async (more, code, message) => {
    const out = `refused ${more.join(" ").replaceAll("/", "_")}`;
    expect(await runCli(args(out, "--retries", "0", ...more))).toMatchObject({
      code,
      stderr: expect.stringMatching(message),
    });
  });

  test("asks for --out, and has an example in its help", async () => {
    expect(await runCli(["crawl"])).toMatchObject({ code: 2, stderr: "error [ERR_CONFIG] out: must be given\n" });
    expect((await runCli(["crawl", "--help"])).stdout).toContain("vlmr1-native crawl --out food --max-items 100");
  });
});
