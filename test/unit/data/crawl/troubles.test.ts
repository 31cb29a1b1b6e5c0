import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { CrawlSite, crawlSite, food, foodRules, listPage, picture } from "../../../support/crawl-site.js";
import { CONTENT_TROUBLES } from "../../../support/crawl-site-content.js";
import { HTTP_TROUBLES } from "../../../support/crawl-site-http.js";
import { PICTURE_TROUBLES } from "../../../support/crawl-site-pictures.js";
import { RULE_TROUBLES } from "../../../support/crawl-site-rules.js";
import { MILK, RICE, type Trouble } from "../../../support/crawl-site-troubles.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();
const [one, two] = [await picture(1), await picture(2)];
const GROUPS: [string, Trouble[]][] = [
  ["connections and protocol", HTTP_TROUBLES],
  ["what may be fetched", RULE_TROUBLES],
  ["pages", CONTENT_TROUBLES],
  ["pictures", PICTURE_TROUBLES],
];
const ALL = GROUPS.flatMap(([, troubles]) => troubles);

/** A site that is well but for one thing. */
async function troubledSite(trouble: Trouble): Promise<CrawlSite> {
  const site = await CrawlSite.start({
    "/list": listPage(food(RICE, "116", "/1.png"), food(MILK, "54", "/2.png")),
    "/1.png": one,
    "/2.png": two,
  });
  for (const [path, route] of Object.entries(trouble.routes?.(site.url) ?? {})) site.on(path, route);
  return site;
}

describe.each(GROUPS)("trouble with %s", (_, troubles) => {
  test.concurrent.each(troubles)("$name: $happens", async (trouble) => {
    const site = await troubledSite(trouble);
    const out = join(folder, String(ALL.indexOf(trouble)));
    const outcome = await crawlSite(foodRules(site.url, trouble.rules?.(site.url)), out, trouble.options);
    const names = trouble.names ?? [RICE, MILK];
    if (trouble.error === undefined) expect(outcome.error).toBeUndefined();
    else
      expect(outcome.error).toMatchObject({ code: trouble.error[0], message: expect.stringMatching(trouble.error[1]) });
    expect(outcome.rows.map(({ name }) => name)).toEqual(names);
    expect(outcome.rows.filter(({ image_path: path }) => path)).toHaveLength(trouble.pictures ?? names.length);
    if (trouble.error === undefined) {
      const expected = (trouble.problems ?? []).map((message) => expect.stringMatching(message));
      expect(outcome.result?.problems.map(({ message }) => message)).toEqual(expected);
    }
    if (trouble.later !== undefined)
      expect(new Set(outcome.result?.problems.map(({ later }) => later))).toEqual(new Set([trouble.later]));
    for (const [path, times] of Object.entries(trouble.asked ?? {}))
      expect([path, site.count(path)]).toEqual([path, times]);
    trouble.check?.(outcome, site);
  });
});

test("docs/crawl.md lists every trouble, and no other", () => {
  expect(ALL.length).toBeGreaterThanOrEqual(40);
  expect(new Set(ALL.map(({ name }) => name)).size).toBe(ALL.length);
  const table = GROUPS.flatMap(([title, troubles]) => [
    ...["", `### Trouble with ${title}`, "", "| trouble | what happens |", "|---|---|"],
    ...troubles.map(({ name, happens }) => `| ${name.replaceAll("<", "&lt;")} | ${happens} |`),
  ]);
  const text = readFileSync(fileURLToPath(new URL("../../../../docs/crawl.md", import.meta.url)), "utf8");
  expect(text).toContain(table.join("\n"));
});
