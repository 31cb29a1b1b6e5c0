import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { extractPage } from "../../../../lib/data/crawl/extract.js";
import type { SiteInput } from "../../../../lib/data/crawl/index.js";
import { parseSite } from "../../../../lib/data/crawl/site.js";
import { largestCandidate, resolveUrl } from "../../../../lib/data/crawl/urls.js";
import { VlmR1Error } from "../../../../lib/errors/index.js";
import { computingTime } from "../../../support/computing-time.js";
import { foodRules } from "../../../support/crawl-site.js";

const URL_OF_PAGE = "https://host.example/dir/list?page=1";
type Rule = SiteInput["fields"][string];

function fieldOf(html: string, rule: Rule): string | undefined {
  const site = parseSite(
    { start: [{ url: URL_OF_PAGE }], item: "li", fields: { always: { attribute: "id" }, value: rule } },
    "s",
  );
  const body = Buffer.from(`<ul><li id="x">${html}</li></ul>`);
  return extractPage({ body, contentType: "text/html; charset=utf-8", url: URL_OF_PAGE }, site).items[0]?.[1];
}

describe("a field", () => {
  const heat = "<p>热量：129 大卡: 每100克</p>";
  test.each<[string, string, Rule, string]>([
    ["text of the item itself", "a<b> b</b>", {}, "a b"],
    ["the first match", "<p>1</p><p>2</p>", { selector: "p" }, "1"],
    ["nothing", "<p>1</p>", { selector: "h4" }, "N/A"],
    ["its own default", "", { selector: "h4", default: "-" }, "-"],
    ["all behind a separator", heat, { selector: "p", split: [":", "："], take: "rest" }, "129 大卡: 每100克"],
    ["the second part", heat, { selector: "p", split: [":", "："] }, "129 大卡"],
    ["the first part", heat, { selector: "p", split: "：", take: 0 }, "热量"],
    ["the last part", heat, { selector: "p", split: [":", "："], take: -1 }, "每100克"],
    ["a part that is not there", heat, { selector: "p", split: ":", take: 5 }, "N/A"],
    ["no separator", "<p>129</p>", { selector: "p", split: ":" }, "N/A"],
    ["a named group", heat, { selector: "p", pattern: "(热)量：(?<value>\\d+)" }, "129"],
    ["the first group that is there", heat, { selector: "p", pattern: "(x)?(\\d+)" }, "129"],
    ["the whole match", heat, { selector: "p", pattern: "\\d+ \\p{L}+" }, "129 大卡"],
    ["no match", heat, { selector: "p", pattern: "kcal" }, "N/A"],
    ["white space as it is", "<p> a\n b </p>", { selector: "p", trim: false }, " a\n b "],
    [
      "an empty attribute, then another",
      '<img data-src="" src="a.png">',
      { selector: "img", attribute: ["data-src", "src"], type: "url" },
      "https://host.example/dir/a.png",
    ],
    ["an attribute of the item", "", { attribute: "ID" }, "x"],
    ["an emoji of several characters", "👩‍🍳 soup", {}, "👩‍🍳 soup"],
  ])("gives %s", (_, html, rule, expected) => {
    expect(fieldOf(html, rule)).toBe(expected);
  });
});

describe("addresses", () => {
  test.each<[string, string | undefined]>([
    ["a.png", "https://host.example/dir/a.png"],
    ["/a b.png", "https://host.example/a%20b.png"],
    ["//cdn.example/a.png#x", "https://cdn.example/a.png"],
    [" \n/a\n.png ", "https://host.example/a.png"],
    ["?page=2", "https://host.example/dir/list?page=2"],
    ["/米饭.png", "https://host.example/%E7%B1%B3%E9%A5%AD.png"],
    ...[
      "",
      "#",
      "#top",
      "data:image/png;base64,AA",
      "javascript:void(0)",
      "mailto:a@b",
      "http://",
      "http://[",
      "file:///etc",
    ].map((text): [string, undefined] => [text, undefined]),
  ])("%j", (text, expected) => expect(resolveUrl(text, URL_OF_PAGE)).toBe(expected));

  test.each<[string, string | undefined]>([
    ["a.png", "a.png"],
    ["a.png,, b.png 2x", "b.png"],
    ["a.png 1x", "a.png"],
    ["a.png 1x, b.png 2x", "b.png"],
    ["a.png 300w,b.png 1200w , c.png 600w", "b.png"],
    ["a,b.png 2x, c.png", "a,b.png"],
    ["data:image/gif;base64,R0lG 1x, b.png 1.5x", "b.png"],
    ["", undefined],
    [" , ", undefined],
  ])("srcset %j", (text, expected) => expect(largestCandidate(text)).toBe(expected));

  test("a srcset of any length is read at once", () => {
    for (const text of [", ".repeat(50_000), "a ".repeat(50_000), "a,".repeat(50_000), " ".repeat(100_000)])
      expect(computingTime(() => largestCandidate(text))).toBeLessThan(1000);
  });
});

describe("whatever a page holds", () => {
  const site = parseSite({ ...foodRules("https://host.example"), next: { selector: "a.next" } }, "s");
  const tag = fc.constantFrom(
    "ul class=food-list",
    "li",
    "/li",
    "/ul",
    "h4",
    "/h4",
    "p",
    "img src=",
    "img data-original='",
    "base href='//",
    "table",
    "svg",
    "template",
    "a class=next href=",
    "!--",
    "script",
    "/script",
    "frameset",
    "meta charset=gbk",
  );
  const soup = fc.array(
    fc.oneof(
      tag.map((name) => `<${name}>`),
      fc.string(),
      fc.constantFrom("：", ":", "&#0;", "&notanentity;", "\0", "\ud800"),
    ),
    { maxLength: 40 },
  );
  const read = (body: Buffer, contentType: string) => {
    try {
      return extractPage({ body, contentType, url: URL_OF_PAGE }, site);
    } catch (error) {
      expect(error).toBeInstanceOf(VlmR1Error);
      return undefined;
    }
  };

  test("nothing but a VlmR1Error is thrown, and what comes out are texts and web addresses", () => {
    let items = 0;
    fc.assert(
      fc.property(
        soup,
        fc.constantFrom("text/html", "text/html; charset=gbk", "text/html; charset=utf-16", "x; charset=''"),
        (parts, type) => {
          const record = read(Buffer.from(`<ul class=food-list><li><h4>${parts.join("")}`), type);
          items += record?.items.length ?? 0;
          for (const [name, heat, image] of record?.items ?? []) {
            expect([name, heat].every((text) => typeof text === "string" && text !== "")).toBe(true);
            expect(image === "N/A" || /^https?:\/\//.test(image as string)).toBe(true);
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(items).toBeGreaterThan(100);
  });

  test("also of bytes that are no text at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => void read(Buffer.from(bytes), "text/html")),
      { numRuns: 100 },
    );
  });
});
