import iconv from "iconv-lite";
import { expect } from "vitest";
import { bytes, food, html, listPage } from "./crawl-site.js";
import type { Trouble } from "./crawl-site-troubles.js";

const gone: Pick<Trouble, "names" | "pictures"> = { names: [], pictures: 0 };
const named = (contentType: string) => (text: string) => html(text, { "Content-Type": contentType });
const CHINESE = listPage(food("米饭", "116 大卡", "/1.png"), food("牛奶", "54 大卡", "/2.png"));
const encoded = (encoding: string, contentType: string, meta = "") =>
  bytes(iconv.encode(CHINESE.replace("<head>", `<head>${meta}`), encoding), { "Content-Type": contentType });
const chinese: Pick<Trouble, "names" | "check"> = {
  names: ["米饭", "牛奶"],
  check: ({ rows }) => expect(rows.map(({ heat }) => heat)).toEqual(["116 大卡", "54 大卡"]),
};
const item = (text: string) => () => ({ "/list": listPage(text) });
const images = (...expected: string[]) => ({
  names: ["rice"],
  check: ({ rows }: { rows: Record<string, string>[] }) =>
    expect(rows.map(({ image }) => image?.replace(/^http:\/\/127\.0\.0\.1:\d+/, ""))).toEqual(expected),
});

/** What a page can hold. */
export const CONTENT_TROUBLES: Trouble[] = [
  {
    name: "a PDF where a page should be",
    happens: "listed, not tried again",
    routes: () => ({ "/list": named("application/pdf")("%PDF-1.4") }),
    ...gone,
    error: ["ERR_DATA", /expected a page \(text\/html\), got application\/pdf/],
    asked: { "/list": 1 },
  },
  {
    name: "a page without Content-Type",
    happens: "read as a page",
    routes: () => ({ "/list": bytes(Buffer.from(CHINESE)) }),
    ...chinese,
  },
  {
    name: "GBK, said by Content-Type",
    happens: "decoded",
    routes: () => ({ "/list": encoded("gbk", "text/html; charset=GBK") }),
    ...chinese,
  },
  {
    name: "gb2312, said by a meta tag alone",
    happens: "decoded",
    routes: () => ({
      "/list": encoded("gbk", "text/html", '<meta http-equiv="Content-Type" content="text/html; charset=gb2312">'),
    }),
    ...chinese,
  },
  {
    name: "Big5",
    happens: "decoded",
    routes: () => ({
      "/list": bytes(iconv.encode(listPage(food("牛奶", "54 大卡", "/1.png")), "big5"), {
        "Content-Type": "text/html; charset=big5",
      }),
    }),
    names: ["牛奶"],
  },
  {
    name: "a byte order mark against another Content-Type",
    happens: "the mark is believed",
    routes: () => ({ "/list": named("text/html; charset=gbk")(`\uFEFF${CHINESE}`) }),
    ...chinese,
  },
  {
    name: "an encoding that nobody knows",
    happens: "read as the page itself says, else as UTF-8",
    routes: () => ({ "/list": named("text/html; charset=x-klingon")(CHINESE) }),
    ...chinese,
  },
  {
    name: "tags that are not closed, and quotes that are missing",
    happens: "read as a browser would",
    routes: () => ({
      "/list":
        "<ul class=food-list><li><h4>rice</h3><p>热量：116<img src=/1.png><li><h4>milk</h5><p>热量:54<img src='/2.png'></ul",
    }),
    check: ({ rows }) => expect(rows.map(({ heat }) => heat)).toEqual(["116", "54"]),
  },
  {
    name: "tags nested five thousand deep",
    happens: "listed",
    routes: item(`<h4>${"<b>".repeat(5000)}`),
    ...gone,
    error: ["ERR_DATA", /nested too deeply/],
  },
  {
    name: "a page that is made to keep a parser busy",
    happens: "given up after `timeout`",
    routes: item("<div>".repeat(39_000)),
    rules: () => ({ timeout: 1.5 }),
    ...gone,
    error: ["ERR_DATA", /reading it takes longer than 1\.5 s/],
  },
  {
    name: "a page of nothing but tags",
    happens: "listed: its parts would fill the memory",
    routes: item("<p>".repeat(200_001)),
    rules: () => ({ maxPageBytes: "1MB" }),
    ...gone,
    error: ["ERR_DATA", /the page has 2000\d\d tags, more than 200000/],
  },
  {
    name: "bytes that are no text",
    happens: "listed: the list is not on it",
    routes: () => ({
      "/list": bytes(Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 89) % 256)), {
        "Content-Type": "text/html",
      }),
    }),
    ...gone,
    error: ["ERR_DATA", /nothing on it matches the list's selector/],
  },
  {
    name: "another page, such as a login",
    happens: "listed; `--resume` tries it again",
    routes: () => ({ "/list": "<form>Please log in</form>", "/more": listPage(food("tea", "1", "/1.png")) }),
    rules: (url) => ({ start: [{ url: `${url}/list` }, { url: `${url}/more` }] }),
    names: ["tea"],
    problems: [/nothing on it matches the list's selector ul\.food-list/],
    later: true,
  },
  {
    name: "an empty list",
    happens: "listed; the page counts as done",
    routes: () => ({ "/list": listPage(), "/more": listPage(food("tea", "1", "/1.png")) }),
    rules: (url) => ({ start: [{ url: `${url}/list` }, { url: `${url}/more` }] }),
    names: ["tea"],
    problems: [/there is no item on it/],
    later: false,
  },
  {
    name: "an empty body",
    happens: "listed; `--resume` tries it again",
    routes: () => ({ "/list": "" }),
    ...gone,
    error: ["ERR_DATA", /nothing on it matches/],
  },
  {
    name: "an item without some of its fields",
    happens: "N/A in their place",
    routes: item("<h4>rice</h4>"),
    names: ["rice"],
    pictures: 0,
    problems: [/no picture's address for "rice"/],
    check: ({ rows }) => expect(rows).toEqual([{ name: "rice", heat: "N/A", image: "N/A", image_path: "" }]),
  },
  {
    name: "an item without any of its fields",
    happens: "left out, and listed",
    routes: () => ({ "/list": listPage("an advertisement", food("milk", "54", "/2.png")) }),
    names: ["milk"],
    problems: [/item 1: none of its fields is there/],
  },
  {
    name: "a lazy picture",
    happens: "its address is taken from `data-original`; the stand-in is skipped",
    routes: item('<h4>rice</h4><p>热量：1</p><img src="/blank.gif" data-original="/1.png">'),
    ...images("/1.png"),
  },
  {
    name: "a srcset",
    happens: "its largest picture is taken",
    routes: item('<h4>rice</h4><p>:1</p><img srcset="/2.png 320w, /1.png 1280w, /3.png 640w" src="/blank.gif">'),
    ...images("/1.png"),
  },
  {
    name: "an address without protocol",
    happens: "that of the page is taken",
    routes: (url) => ({ "/list": listPage(food("rice", "1", `//${url.slice(7)}/1.png`)) }),
    ...images("/1.png"),
  },
  {
    name: "a page with <base href>",
    happens: "addresses begin from there",
    routes: () => ({
      "/list": listPage(food("rice", "1", "1.png?x#top")).replace("<head>", '<head><base href="/cdn/big/">'),
      "/cdn/big/1.png": (response, request) =>
        import("./crawl-site.js").then(({ picture }) => picture(1)).then((png) => bytes(png)(response, request)),
    }),
    ...images("/cdn/big/1.png?x"),
  },
  {
    name: "data: and javascript: in place of an address",
    happens: "N/A",
    routes: () => ({
      "/list": listPage(
        food("rice", "1", "data:image/gif;base64,R0lGODlhAQABAAAAACw="),
        food("milk", "2", "javascript:void(0)"),
      ),
    }),
    pictures: 0,
    problems: [/no picture's address for "rice"/, /no picture's address for "milk"/],
    check: ({ rows }) => expect(rows.map(({ image }) => image)).toEqual(["N/A", "N/A"]),
  },
  {
    name: "the same item twice",
    happens: "once in the CSV",
    routes: () => ({ "/list": listPage(...[1, 1, 2].map((n) => food(n === 1 ? "rice" : "milk", "5", `/${n}.png`))) }),
    check: ({ result }) => expect(result?.duplicates).toBe(1),
  },
  {
    name: "next pages in a circle",
    happens: "each is fetched once; listed",
    routes: () => ({
      "/list": `${listPage(food("rice", "1", "/1.png"))}<a class="next" href="/two">next</a>`,
      "/two": `${listPage(food("milk", "2", "/2.png"))}<a class="next" href="/list">next</a>`,
    }),
    rules: () => ({ next: { selector: "a.next" } }),
    problems: [/its next page was there before/],
    asked: { "/list": 1, "/two": 1 },
  },
  {
    name: "next pages without end",
    happens: "`next.max_pages` of them; listed",
    routes: () => ({
      "/list": (response, request) => {
        const page = Number(new URL(request.url ?? "", "http://x").searchParams.get("p") ?? 0);
        html(`${listPage(food("rice", "1", "/1.png"))}<a class="next" href="/list?p=${page + 1}">next</a>`)(
          response,
          request,
        );
      },
    }),
    rules: () => ({ next: { selector: "a.next", maxPages: 4 } }),
    names: ["rice"],
    problems: [/not followed further: next\.max_pages is 4/],
    check: ({ result }) => expect(result?.duplicates).toBe(3),
  },
  {
    name: "a text that a spreadsheet would run",
    happens: "gets an apostrophe before it",
    routes: item(food("=cmd|'/c calc'!A0", "1", "/1.png")),
    names: ["'=cmd|'/c calc'!A0"],
  },
  {
    name: "line ends, quotes, commas, invisible characters in a text",
    happens: "one space for white space, invisible ones go, the rest is quoted",
    routes: item(food('  "brown\u00a0\n rice",\u200b\u0007 100\u3000g ', "1", "/1.png")),
    names: ['"brown rice", 100 g'],
  },
  {
    name: "a text on which the `pattern` never ends",
    happens: "stopped after a second; the item is listed",
    routes: item(food(`${"a".repeat(60)}!`, "1", "/1.png")),
    rules: () => ({ fields: { name: { selector: "h4", pattern: "^(a+)+$" } }, images: false }),
    ...gone,
    error: ["ERR_DATA", /takes longer than 1000 ms/],
  },
];
