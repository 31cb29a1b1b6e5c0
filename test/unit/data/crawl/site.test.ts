import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type PagePlace, startPages } from "../../../../lib/data/crawl/ranges.js";
import { loadSite, parseSite } from "../../../../lib/data/crawl/site.js";
import type { VlmR1Error } from "../../../../lib/errors/index.js";
import { temporaryFolder } from "../../../support/temporary.js";

const LEAST = { start: [{ url: "https://host.example/list" }], item: "li", fields: { name: { selector: "h4" } } };

function refused(work: () => unknown): VlmR1Error {
  try {
    work();
  } catch (error) {
    return error as VlmR1Error;
  }
  throw new Error("nothing was thrown");
}

describe("the built-in site", () => {
  test("is the article's list of foods", async () => {
    const site = await loadSite("food-list");
    const pages = startPages(site.start);
    expect(pages).toHaveLength(90);
    expect(pages[10]).toEqual({
      url: "http://www.boohee.com/food/group/2?page=1",
      group: "2",
      page: "1",
      series: "0/2",
    });
    expect(Object.keys(site.fields)).toEqual(["name", "heat", "image"]);
    expect(site.headers).toMatchObject({
      "User-Agent": expect.stringContaining("Mozilla"),
      Referer: expect.any(String),
    });
    expect([site.list, site.item, site.delay]).toEqual(["ul.food-list", "li", 2]);
  });

  test("takes flags over its own", async () => {
    const site = await loadSite("food-list", {
      delay: 5,
      startUrl: "https://mirror.example/{group}/{page}",
      retries: 0,
    });
    expect(site).toMatchObject({ delay: 5, retries: 0, images: { delay: 5 } });
    expect(startPages(site.start)[89]?.url).toBe("https://mirror.example/9/10");
  });
});

test("the other examples are read too", async () => {
  const site = await loadSite("examples/crawl/recipes.yaml");
  expect(site).toMatchObject({ next: { maxPages: 50 }, images: { minPixels: 10000 }, unique: ["address"] });
  expect(startPages(site.start)).toHaveLength(3);
});

describe("spellings", () => {
  test("snake_case, camelCase and kebab-case are the same, in fields and images too", () => {
    const images = { "min-bytes": 7, maxPixels: 9, field: "image" };
    const fields = { image: { Selector: "img", type: "url" } };
    const site = parseSite({ ...LEAST, fields, max_page_bytes: "1MB", stallTimeout: 3, images }, "site.yaml");
    expect(site).toMatchObject({ maxPageBytes: "1MB", stallTimeout: 3, images: { minBytes: "7", maxPixels: 9 } });
  });
});

describe("mistakes are told with their key and an example", () => {
  test.each([
    ["no start", { start: undefined }, /start \(from site\.yaml\): must be given/, /start: \[/],
    ["an unknown key", { lists: "ul" }, /unknown field "lists"/, /Did you mean "list"/],
    [
      "an unknown key of a field",
      { fields: { name: { selektor: "a" } } },
      /unknown field "fields\.name\.selektor"/,
      /selector/,
    ],
    ["an unknown key of images", { images: { feild: "a" } }, /unknown field "images\.feild"/, /field/],
    ["a field that is a text", { fields: { name: "h4" } }, /expected fields\.name\. to be a map|fields\.name/, /./],
    [
      "a bad type",
      { fields: { name: { type: "number" } } },
      /fields\.name\.type .*expected one of text, url, got "number"/,
      /./,
    ],
    ["no field", { fields: {} }, /fields: expected at least one/, /fields: \{name/],
    ["a reserved column", { fields: { image_path: {} } }, /image_path: the crawler has a column/, /./],
    ["a bad selector", { item: "li[" }, /item: not a CSS selector: li\[/, /ul\.list > li/],
    ["an unknown pseudo-class", { fields: { name: { selector: "li:foo" } } }, /fields\.name\.selector: not a CSS/, /./],
    [
      "a bad expression",
      { fields: { name: { pattern: "(" } } },
      /fields\.name\.pattern: not a regular expression/,
      /kcal/,
    ],
    ["unique of nothing", { unique: ["x"] }, /unique: there is no field "x"/, /unique: \[name\]/],
    [
      "images of a text",
      { images: { field: "name" } },
      /images\.field: expected a field of type url/,
      /images: \{field/,
    ],
    ["a bad size", { maxPageBytes: "much" }, /max_page_bytes .*expected a size such as 5MB/, /./],
    ["a pause below zero", { delay: -1 }, /delay .*expected at least 0, got -1/, /./],
    ["a header of the connection", { headers: { Host: "x" } }, /headers/, /User-Agent/],
    ["a header of two lines", { headers: { "X-A": "a\nb" } }, /expected one line/, /User-Agent/],
    ["a name with a slash", { name: "a/b" }, /name .*expected letters/, /./],
    ["a list", [], /expected the whole to be a map/, /./],
  ])("%s", (_, over, message, hint) => {
    const error = refused(() => parseSite(Array.isArray(over) ? over : { ...LEAST, ...over }, "site.yaml"));
    expect(error).toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
    expect(error.message).toContain("site.yaml");
  });

  test("also where the file is not there, is no YAML, or the name is unknown", async () => {
    await expect(loadSite("./nowhere.yaml")).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    const path = join(temporaryFolder(), "bad.yaml");
    writeFileSync(path, "start: [");
    await expect(loadSite(path)).rejects.toMatchObject({ code: "ERR_CONFIG", message: expect.stringContaining(path) });
    await expect(loadSite("foodlist")).rejects.toMatchObject({ code: "ERR_USAGE", hint: 'Did you mean "food-list"?' });
    await expect(loadSite("zzz")).rejects.toMatchObject({ hint: expect.stringContaining("Known: food-list") });
  });
});

describe("ranges", () => {
  const places = (url: string, more: object = {}): PagePlace[] =>
    startPages(parseSite({ ...LEAST, start: [{ url, ...more }] }, "s").start);
  const paths = (url: string, more: object = {}) => places(url, more).map(({ url }) => url.slice("http://h/".length));

  test.each([
    ["1-3", ["1", "2", "3"]],
    ["08-11", ["08", "09", "10", "11"]],
    ["1, 3,5-6", ["1", "3", "5", "6"]],
    [
      [2, "soups", "7-8"],
      ["2", "soups", "7", "8"],
    ],
    [4, ["4"]],
    ["米饭/汤", ["%E7%B1%B3%E9%A5%AD%2F%E6%B1%A4"]],
  ])("%j", (page, expected) => {
    expect(paths("http://h/{page}", { page })).toEqual(expected);
  });

  test("the last one counts fastest", () => {
    expect(paths("http://h/{group}-{page}", { group: "1-2", page: "1-2" })).toEqual(["1-1", "1-2", "2-1", "2-2"]);
  });

  test.each([
    ["http://h/{page}", {}, /start\[0\]: the url has \{page\}, but there is no range "page"/],
    ["http://h/", { page: "1-2" }, /there is a range "page", but the url has no \{page\}/],
    ["http://h/{page}", { page: "5-1" }, /runs backwards/],
    ["http://h/{page}", { page: "1-99999999" }, /more than 100000/],
    ["http://h/{page}{group}", { page: "1-9999", group: "1-9999" }, /more than 100000 pages/],
    ["http://h/{page}", { page: "1,,2" }, /an empty piece/],
    ["http://h/{pgae}", {}, /unknown placeholder \{pgae\}/],
    ["h/list", {}, /not an address of the web: h\/list/],
  ])("%s with %j is refused", (url, more, message) => {
    expect(refused(() => places(url, more))).toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringMatching(message),
    });
  });
});
