import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonForHtml, renderPage } from "../../../lib/page/html.js";
import { HOSTILE, pageData } from "../../support/page-data.js";

describe("jsonForHtml", () => {
  it("keeps every text and never holds what could end the element", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(...HOSTILE, "</SCRIPT>", "<!--", "]]>", "&lt;"),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const json = jsonForHtml({ text });
        expect(json).not.toMatch(/[<>&\u2028\u2029]/);
        expect(JSON.parse(json)).toEqual({ text });
      }),
    );
  });

  it("has null for what is no number", () => {
    expect(jsonForHtml([Number.NaN, Number.POSITIVE_INFINITY])).toBe("[null,null]");
  });
});

describe("renderPage", () => {
  it("is one document with its data, code and styles, and nothing from elsewhere", async () => {
    const html = await renderPage(pageData());
    expect(html.match(/<script/g)).toHaveLength(2);
    expect(html.match(/<\/script>/g)).toHaveLength(2);
    expect(html).not.toMatch(/<(script|link|img)[^>]+(src|href)="(?!data:)/);
    const json = /<script type="application\/json" id="page-data">(.*)<\/script>/.exec(html)?.[1] ?? "";
    expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(pageData())));
    // The licence of the library in it goes along.
    expect(html).toContain("Copyright (c) 2022 Leon Sorokin");
  });

  it("allows a report no network at all, and a dashboard its own server", async () => {
    const policyOf = async (kind: "report" | "dashboard") =>
      /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(await renderPage(pageData({ kind })))?.[1] ?? "";
    const report = await policyOf("report");
    expect(report).toMatch(/^default-src 'none'; /);
    expect(report).toContain("; img-src data:;");
    expect(report).not.toMatch(/connect-src|'self'|unsafe/);
    const dashboard = await policyOf("dashboard");
    expect(dashboard).toContain("; img-src 'self' data:; connect-src 'self';");
  });

  it("names its script and its styles by their hashes", async () => {
    const html = await renderPage(pageData());
    const [, script] = /<script>(.*)<\/script>/s.exec(html) ?? [];
    const [, style] = /<style>(.*)<\/style>/s.exec(html) ?? [];
    for (const text of [script, style]) {
      const hash = createHash("sha256")
        .update(text as string)
        .digest("base64");
      expect(html).toContain(`'sha256-${hash}'`);
    }
  });

  it("escapes the title", async () => {
    const html = await renderPage(pageData({ title: '</title><b>"&' }));
    expect(html).toContain("<title>&#60;/title&#62;&#60;b&#62;&#34;&#38;</title>");
  });

  it("gives the same bytes for the same data", async () => {
    expect(await renderPage(pageData())).toBe(await renderPage(pageData()));
  });
});
