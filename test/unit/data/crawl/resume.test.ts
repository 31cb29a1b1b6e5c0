import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { CrawlProgress, SiteInput } from "../../../../lib/data/crawl/index.js";
import { crawlSite, food, foodRules, listPage, status } from "../../../support/crawl-site.js";
import { foodSite } from "../../../support/crawl-site-food.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();
const { site, startUrl, pages } = await foodSite(2, 3, 4);
const rules: SiteInput = foodRules(site.url, { start: [{ url: startUrl, group: "1-2", page: "1-3" }], concurrency: 3 });
const whole = await crawlSite(rules, join(folder, "whole"));
site.on("/wide", listPage(...Array.from({ length: 24 }, (_, n) => food(`食物${n}`, "1", `/img/${n + 1}.png`))));
const stateOf = (name: string) => join(folder, name, "crawl-state.jsonl");

test("the CSV has a byte order mark, the article's columns, and a path for each picture", () => {
  expect(whole.csv.startsWith("\uFEFFname,heat,image,image_path\n")).toBe(true);
  expect(whole.rows).toHaveLength(24);
  expect(whole.rows[0]).toEqual({
    name: "食物1",
    heat: "3 大卡(每100克)",
    image: `${site.url}/img/1.png`,
    image_path: expect.stringMatching(/^images\/[0-9a-f]{16}\.png$/),
  });
  expect(whole.result).toMatchObject({
    items: 24,
    pages: { fetched: 6, failed: 0 },
    pictures: { saved: 24, files: 16 },
  });
  expect(whole.result?.requests).toBe(1 + 6 + 16);
});

test("the same pages give the same bytes", async () => {
  const again = await crawlSite({ ...rules, concurrency: 1 }, join(folder, "again"));
  expect(again.csv).toBe(whole.csv);
  expect(again.files).toEqual(whole.files);
  const report = (name: string) => readFileSync(join(folder, name, "crawl-report.json"), "utf8");
  expect(report("again")).toBe(report("whole"));
});

test("many downloads at a time make no warning", async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error) => void warnings.push(warning);
  process.on("warning", listen);
  const signal = new AbortController().signal;
  const wide = await crawlSite(
    { ...rules, concurrency: 40, start: [{ url: `${site.url}/wide` }] },
    join(folder, "wide"),
    { signal },
  );
  await new Promise(setImmediate);
  process.off("warning", listen);
  expect(wide.result).toMatchObject({ items: 24, problems: [] });
  expect(warnings).toEqual([]);
});

describe("a crawl that goes on", () => {
  test("after an interruption at any moment ends in the same bytes, and asks for no page that is done", async () => {
    for (let moment = 1; moment <= 30; moment += 4) {
      const name = `moment-${moment}`;
      const controller = new AbortController();
      let events = 0;
      const done = new Set<string>();
      const onProgress = ({ phase, url }: CrawlProgress) => {
        if (phase === "page") done.add(url.slice(site.url.length));
        if (++events === moment) controller.abort(new Error("enough"));
      };
      const cut = await crawlSite(rules, join(folder, name), { signal: controller.signal, onProgress });
      expect(cut.error?.message).toBe("enough");
      expect(whole.csv.startsWith(cut.csv)).toBe(true);
      site.asked.length = 0;
      const resumed = await crawlSite(rules, join(folder, name), { resume: true });
      expect(resumed.csv).toBe(whole.csv);
      expect(site.asked.filter((path) => done.has(path))).toEqual([]);
      expect(new Set(site.asked).size).toBe(site.asked.length);
    }
  });

  test("asks for nothing where nothing is left", async () => {
    site.asked.length = 0;
    const resumed = await crawlSite(rules, join(folder, "whole"), { resume: true });
    expect(resumed.csv).toBe(whole.csv);
    expect(site.asked).toEqual([]);
  });

  test("with a state whose last line is torn anywhere", async () => {
    const { length } = readFileSync(stateOf("whole"));
    for (let cut = 0; cut < length; cut += Math.floor(length / 8)) {
      const name = `torn-${cut}`;
      cpSync(join(folder, "whole"), join(folder, name), { recursive: true });
      truncateSync(stateOf(name), cut);
      expect((await crawlSite(rules, join(folder, name), { resume: true })).csv).toBe(whole.csv);
      expect((await crawlSite(rules, join(folder, name), { resume: true })).result?.requests).toBe(0);
    }
  });

  test("fetches pictures again whose files are gone", async () => {
    cpSync(join(folder, "whole"), join(folder, "gone"), { recursive: true });
    rmSync(join(folder, "gone", whole.rows[0]?.image_path ?? ""));
    site.asked.length = 0;
    const resumed = await crawlSite(rules, join(folder, "gone"), { resume: true });
    expect([resumed.csv, resumed.files]).toEqual([whole.csv, whole.files]);
    expect(site.asked).toEqual(["/robots.txt", "/img/1.png"]);
  });

  test("tries again what may have passed, and not what will not", async () => {
    const path = pages[1] as string;
    site.on("/late", status(503));
    const start = [{ url: `${site.url}${path}` }, { url: `${site.url}/late` }, { url: `${site.url}/never` }];
    const first = await crawlSite({ ...rules, start }, join(folder, "late"));
    expect(first.result?.problems.map(({ tries, later }) => [tries, later])).toEqual([
      [3, true],
      [1, false],
    ]);
    site.on("/late", listPage("<h4>late</h4><p>:1</p>"));
    site.asked.length = 0;
    const second = await crawlSite({ ...rules, start }, join(folder, "late"), { resume: true });
    expect(site.asked).toEqual(["/robots.txt", "/late"]);
    expect(second.rows.at(-1)?.name).toBe("late");
    expect(second.result?.pages).toEqual({ fetched: 2, failed: 1, skipped: 0, ends: 0 });
  });

  test("ends earlier and goes on with max_items", async () => {
    const out = join(folder, "some");
    const five = await crawlSite(rules, out, { maxItems: 5 });
    expect(five.rows).toEqual(whole.rows.slice(0, 5));
    expect(five.result?.pages.fetched).toBe(2);
    expect(five.files).toHaveLength(4);
    expect((await crawlSite(rules, out, { maxItems: 5, resume: true })).csv).toBe(five.csv);
    site.asked.length = 0;
    expect((await crawlSite(rules, out, { resume: true })).csv).toBe(whole.csv);
    expect(site.asked).not.toContain(pages[0]);
  });
});

describe("what is refused", () => {
  test("a folder into which another process crawls; not one that such a process has left", async () => {
    const out = join(folder, "locked");
    mkdirSync(out);
    const lock = (pid: number) => writeFileSync(join(out, "crawl.lock"), JSON.stringify({ pid, started: null }));
    lock(process.ppid);
    expect((await crawlSite(rules, out)).error).toMatchObject({
      code: "ERR_STATE",
      message: expect.stringContaining(`is in use: process ${process.ppid} crawls into it`),
    });
    expect(readdirSync(out)).toEqual(["crawl.lock"]);
    lock(2 ** 22 + 1);
    expect((await crawlSite(rules, out)).csv).toBe(whole.csv);
    expect(existsSync(join(out, "crawl.lock"))).toBe(false);
  });

  test("a folder with another crawl, unless it is to go on", async () => {
    const { error } = await crawlSite(rules, join(folder, "whole"));
    expect(error).toMatchObject({ code: "ERR_USAGE", message: expect.stringContaining("holds a crawl already") });
  });

  test("not a folder in which no page was fetched yet", async () => {
    const out = join(folder, "anew");
    const wrong = await crawlSite({ ...rules, start: [{ url: `${site.url}/wrong` }] }, out);
    expect(wrong.error).toMatchObject({ code: "ERR_NOT_FOUND" });
    expect((await crawlSite(rules, out)).csv).toBe(whole.csv);
    expect((await crawlSite(rules, out, { resume: true })).result?.requests).toBe(0);
  });

  test("a CSV that is not of a crawl", async () => {
    mkdirSync(join(folder, "mine"));
    writeFileSync(join(folder, "mine", "items.csv"), "a,b\n");
    expect((await crawlSite(rules, join(folder, "mine"))).error).toMatchObject({ code: "ERR_USAGE" });
    expect(readFileSync(join(folder, "mine", "items.csv"), "utf8")).toBe("a,b\n");
  });

  test("a state of other rules; other pauses are fine", async () => {
    const out = join(folder, "whole");
    const other = await crawlSite({ ...rules, item: "ol li" }, out, { resume: true });
    expect(other.error).toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringContaining("begun by other addresses or rules"),
    });
    expect((await crawlSite({ ...rules, delay: 1, retries: 0 }, out, { resume: true })).csv).toBe(whole.csv);
  });

  test.each([
    ["no JSON", "{\n"],
    ["another thing", '{"page": "x"}\n'],
    ["a page of nothing", '{"page": "x", "outcome": {"items": [1], "problems": []}}\n'],
    ["a picture of nothing", '{"picture": "x", "outcome": {}}\n'],
    ["null", "null\n"],
  ])("a state with a line that is %s", async (name, line) => {
    const out = join(folder, `bad ${name}`);
    cpSync(join(folder, "whole"), out, { recursive: true });
    appendFileSync(join(out, "crawl-state.jsonl"), line);
    const { error } = await crawlSite(rules, out, { resume: true });
    expect(error).toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/line 24: not a line of a crawl's state/),
    });
  });
});

test("a site that does not answer ends the crawl, and what there is stays", async () => {
  const start = [
    ...pages.slice(0, 2).map((path) => ({ url: site.url + path })),
    { url: `${site.url}/down/{page}`, page: "1-9" },
  ];
  for (let n = 1; n <= 9; n++) site.on(`/down/${n}`, status(500));
  const out = join(folder, "down");
  const { error, rows } = await crawlSite({ ...rules, start, retries: 1, maxFailures: 3 }, out);
  expect(error).toMatchObject({
    code: "ERR_NETWORK",
    message: expect.stringMatching(/3 pages in a row .* answered 500/),
  });
  expect(rows).toEqual(whole.rows.slice(0, 8));
  expect(site.count("/down/3")).toBe(2);
  expect(site.count("/down/4")).toBe(0);
});

describe("the end of a group", () => {
  const start = [{ url: `${site.url}/ends/{group}/{page}`, group: "1-2", page: "1-5" }];
  const endless = { ...rules, start, images: false as const };
  const redirect = (response: ServerResponse) => void response.writeHead(302, { Location: "/ends/none" }).end();
  for (const path of ["1/1", "1/2", "1/4", "2/1"]) site.on(`/ends/${path}`, listPage(`<h4>${path}</h4><p>:1</p>`));
  site.on("/ends/none", listPage());

  test("by an empty page is no problem", async () => {
    site.on("/ends/1/3", listPage());
    site.on("/ends/2/2", listPage());
    const out = join(folder, "ends");
    const { result, rows } = await crawlSite(endless, out);
    expect(rows.map((row) => row.name)).toEqual(["1/1", "1/2", "2/1"]);
    expect(result?.pages).toEqual({ fetched: 5, failed: 0, skipped: 2 + 3, ends: 2 });
    expect(result?.problems).toEqual([]);
    const resumed = await crawlSite(endless, out, { resume: true });
    expect(resumed.result).toMatchObject({ requests: 0, pages: result?.pages, problems: [] });
  });

  test.each([
    ["a page that is not there", "1/3", status(404), { fetched: 4, failed: 1, skipped: 5 }, /answered 404/],
    [
      "an empty page elsewhere",
      "1/3",
      redirect,
      { fetched: 5, failed: 0, skipped: 5 },
      /no item on it \(it redirects to http:.*\/ends\/none\): li/,
    ],
    ["an empty first page", "1/1", listPage(), { fetched: 3, failed: 0, skipped: 7 }, /no item on it: li/],
  ])("by %s is one", async (name, path, answer, pages, message) => {
    site.on("/ends/1/3", listPage());
    site.on("/ends/2/2", listPage());
    const well = listPage(`<h4>${path}</h4><p>:1</p>`);
    site.on(`/ends/${path}`, answer);
    const { result } = await crawlSite(endless, join(folder, name));
    site.on(`/ends/${path}`, well);
    expect(result?.pages).toEqual({ ...pages, ends: 1 });
    expect(result?.problems.map((problem) => problem.message)).toEqual([expect.stringMatching(message)]);
    expect(result?.problems[0]?.message).toMatch(/taken for the end of its group, \d more pages are left out/);
  });

  test("is not looked for without stop_at_empty", async () => {
    site.on("/ends/1/3", listPage());
    const { rows, result } = await crawlSite({ ...endless, stopAtEmpty: false }, join(folder, "no end"));
    expect(rows.map((row) => row.name)).toEqual(["1/1", "1/2", "1/4", "2/1"]);
    expect(result?.pages.ends).toBe(0);
    expect(result?.problems[0]?.message).toMatch(/\/ends\/1\/3: there is no item on it/);
  });
});

test("a dry run shows the first page, and writes nothing", async () => {
  site.asked.length = 0;
  const out = join(folder, "dry");
  const { result, error } = await crawlSite({ ...rules, delay: 2 }, out, { dryRun: true });
  expect(error).toBeUndefined();
  expect(result?.preview).toMatchObject({ url: site.url + pages[0], pages: 6, seconds: 10 });
  expect(result?.preview?.items[0]).toEqual({ name: "食物1", heat: "3 大卡(每100克)", image: `${site.url}/img/1.png` });
  expect(site.asked).toEqual(["/robots.txt", pages[0]]);
  expect(() => readFileSync(join(out, "crawl-state.jsonl"))).toThrow();
});
