import { brotliCompressSync, gzipSync } from "node:zlib";
import { expect } from "vitest";
import { bytes, cutAfter, food, html, listPage, raw, redirect, status } from "./crawl-site.js";
import type { Trouble } from "./crawl-site-troubles.js";

const GOOD = listPage(food("rice", "116", "/1.png"), food("milk", "54", "/2.png"));
const good = html(GOOD);
const type = { "Content-Type": "text/html; charset=utf-8" };
const packed = (encoding: string, body: Buffer) => bytes(body, { ...type, "Content-Encoding": encoding });
const gone: Pick<Trouble, "names" | "pictures"> = { names: [], pictures: 0 };
const endless = (text: string, every: number, headers = type) => ({
  "/list": (response: import("node:http").ServerResponse) => {
    response.writeHead(200, headers);
    const timer = setInterval(() => response.write(text), every);
    response.on("close", () => clearInterval(timer));
  },
});

/** What a connection and its protocol can do. */
export const HTTP_TROUBLES: Trouble[] = [
  {
    name: "500 twice, then well",
    happens: "third try, after waits that double",
    routes: () => ({ "/list": [status(500), status(500), good] }),
    asked: { "/list": 3 },
    check: ({ waits }) => {
      expect(waits).toHaveLength(2);
      expect(waits[0]).toBeGreaterThanOrEqual(500);
      expect(waits[0]).toBeLessThanOrEqual(1000);
      expect(waits[1]).toBeGreaterThanOrEqual(1000);
      expect(waits[1]).toBeLessThanOrEqual(2000);
    },
  },
  {
    name: "500 again and again",
    happens: "listed after the last try; `--resume` tries it again",
    routes: () => ({ "/list": status(500) }),
    ...gone,
    error: ["ERR_NETWORK", /not one item on 1 pages: .*answered 500/],
    asked: { "/list": 3 },
  },
  {
    name: "429 with Retry-After in seconds",
    happens: "waits as long as it is asked to",
    routes: () => ({ "/list": [status(429, { "Retry-After": "7" }), good] }),
    asked: { "/list": 2 },
    check: ({ waits }) => expect(waits[0]).toBe(7000),
  },
  {
    name: "503 with Retry-After as a date",
    happens: "waits until then",
    routes: () => ({
      "/list": [
        (response) =>
          status(503, { "Retry-After": new Date(Date.now() + 30_000).toUTCString() })(response, response.req),
        good,
      ],
    }),
    asked: { "/list": 2 },
    check: ({ waits }) => {
      expect(waits[0]).toBeGreaterThan(28_000);
      expect(waits[0]).toBeLessThanOrEqual(30_000);
    },
  },
  {
    name: "Retry-After that is nonsense",
    happens: "waits as without it",
    routes: () => ({ "/list": [status(503, { "Retry-After": "soon" }), good] }),
    asked: { "/list": 2 },
    check: ({ waits }) => expect(waits[0]).toBeLessThanOrEqual(1000),
  },
  {
    name: "Retry-After of an hour",
    happens: "longer than `longest_asked_wait`: left for later at once",
    routes: () => ({ "/list": status(429, { "Retry-After": "3600" }) }),
    ...gone,
    error: ["ERR_NETWORK", /answered 429/],
    asked: { "/list": 1 },
  },
  {
    name: "404",
    happens: "listed, not tried again",
    routes: () => ({ "/list": status(404) }),
    ...gone,
    error: ["ERR_NOT_FOUND", /answered 404/],
    asked: { "/list": 1 },
  },
  {
    name: "403",
    happens: "listed, not tried again",
    routes: () => ({ "/list": status(403) }),
    ...gone,
    error: ["ERR_ACCESS", /answered 403/],
    asked: { "/list": 1 },
  },
  {
    name: "206 where a whole page was asked for",
    happens: "refused: it may be a part",
    routes: () => ({ "/list": (response) => void response.writeHead(206, type).end(GOOD) }),
    ...gone,
    error: ["ERR_NETWORK", /answered 206/],
    asked: { "/list": 1 },
  },
  {
    name: "no answer",
    happens: "given up after `stall_timeout`, tried again",
    routes: () => ({ "/list": [() => undefined, good] }),
    // Long enough for the second answer, however busy the machine is.
    rules: () => ({ stallTimeout: 1.5 }),
    asked: { "/list": 2 },
  },
  {
    name: "a body that stops coming",
    happens: "given up after `stall_timeout`, tried again",
    routes: () => ({
      "/list": [(response) => void response.writeHead(200, { ...type, "Content-Length": "9000" }).write("<ul>"), good],
    }),
    rules: () => ({ stallTimeout: 1.5 }),
    asked: { "/list": 2 },
  },
  {
    name: "a body that trickles",
    happens: "given up after `timeout` in all",
    routes: () => endless(" ", 50),
    rules: () => ({ retries: 0, timeout: 0.6 }),
    ...gone,
    error: ["ERR_NETWORK", /not done after 0\.6 s/],
    asked: { "/list": 1 },
  },
  {
    name: "a body shorter than announced",
    happens: "noticed, tried again",
    routes: () => ({ "/list": [cutAfter(GOOD.slice(0, 200), { "Content-Length": String(GOOD.length) }), good] }),
    asked: { "/list": 2 },
  },
  {
    name: "a chunked body without its end",
    happens: "noticed, tried again",
    routes: () => ({ "/list": [cutAfter(GOOD.slice(0, 200)), good] }),
    asked: { "/list": 2 },
  },
  {
    name: "gzip, brotli",
    happens: "unpacked",
    routes: () => ({
      "/list": packed("gzip", gzipSync(GOOD)),
      "/more": packed("br", brotliCompressSync(listPage(food("tea", "1", "/1.png")))),
    }),
    rules: (url) => ({ start: [{ url: `${url}/list` }, { url: `${url}/more` }] }),
    names: ["rice", "milk", "tea"],
    pictures: 3,
  },
  {
    name: "gzip that ends too early",
    happens: "noticed, tried again",
    routes: () => ({ "/list": [packed("gzip", gzipSync(GOOD).subarray(0, 90)), good] }),
    asked: { "/list": 2 },
  },
  {
    name: "gzip that is none",
    happens: "noticed, tried again",
    routes: () => ({ "/list": [packed("gzip", Buffer.from(GOOD)), good] }),
    asked: { "/list": 2 },
  },
  {
    name: "a packing bomb",
    happens: "cut off at `max_page_bytes` of what comes out",
    routes: () => ({ "/list": packed("gzip", gzipSync(Buffer.alloc(3_000_000))) }),
    ...gone,
    error: ["ERR_DATA", /larger than the limit of 200000 bytes \(more came out of what is packed by gzip\)/],
    asked: { "/list": 1 },
  },
  {
    name: "an unknown packing",
    happens: "listed",
    routes: () => ({ "/list": packed("zstd-17", Buffer.from("x")) }),
    ...gone,
    error: ["ERR_DATA", /packed by "zstd-17"/],
    asked: { "/list": 1 },
  },
  {
    name: "a page that is announced as huge",
    happens: "not read at all",
    routes: () => ({
      "/list": (response) => void response.writeHead(200, { ...type, "Content-Length": "99999999" }).write("<"),
    }),
    ...gone,
    error: ["ERR_DATA", /larger than the limit of 200000 bytes \(99999999 bytes are announced\)/],
    asked: { "/list": 1 },
  },
  {
    name: "a page without end",
    happens: "cut off at `max_page_bytes`",
    routes: () => endless("x".repeat(50_000), 1),
    ...gone,
    error: ["ERR_DATA", /larger than the limit of 200000 bytes \(more came\)/],
    asked: { "/list": 1 },
  },
  {
    name: "a connection that is reset",
    happens: "tried again",
    routes: () => ({ "/list": [(response) => void response.socket?.resetAndDestroy(), good] }),
    asked: { "/list": 2 },
  },
  {
    name: "an answer that is no HTTP",
    happens: "tried again",
    routes: () => ({ "/list": [raw("220 mail.example ESMTP\r\n"), good] }),
    asked: { "/list": 2 },
  },
  {
    name: "100 KB of headers",
    happens: "refused; tried again",
    routes: () => ({ "/list": [raw(`HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(100_000)}\r\n\r\n`), good] }),
    asked: { "/list": 2 },
  },
  {
    name: "redirects, relative and absolute",
    happens: "followed; addresses on the page begin from its last address",
    routes: (url) => ({
      "/list": redirect("moved"),
      "/moved": redirect(`${url}/new/list`, 308),
      "/new/list": listPage(food("rice", "116", "1.png")),
      "/new/1.png": redirect("/1.png", 301),
    }),
    names: ["rice"],
    pictures: 1,
  },
  {
    name: "redirects in a circle",
    happens: "noticed, not tried again",
    routes: () => ({ "/list": redirect("/b"), "/b": redirect("/list") }),
    ...gone,
    error: ["ERR_NETWORK", /go round in a circle/],
    asked: { "/list": 1, "/b": 1 },
  },
  {
    name: "more redirects than `max_redirects`",
    happens: "listed",
    routes: () =>
      Object.fromEntries(["/list", "/a", "/b", "/c", "/d"].map((path, i) => [path, redirect(`/${"abcde"[i]}`)])),
    ...gone,
    error: ["ERR_NETWORK", /more than 3 redirects/],
    asked: { "/d": 0 },
  },
  {
    name: "a redirect to nowhere",
    happens: "listed",
    routes: () => ({ "/list": status(302) }),
    ...gone,
    error: ["ERR_NETWORK", /a redirect to "", which is no address/],
  },
  {
    name: "a redirect to file:",
    happens: "refused: only http and https",
    routes: () => ({ "/list": redirect("file:///etc/passwd") }),
    ...gone,
    error: ["ERR_DATA", /file: is not fetched/],
  },
  {
    name: "a redirect to an address with a password",
    happens: "refused",
    routes: () => ({ "/list": redirect("http://user:secret@127.0.0.1/") }),
    ...gone,
    error: ["ERR_ACCESS", /with a user or a password/],
    check: ({ error }) => expect(error?.message).not.toContain("secret"),
  },
];
