import { expect } from "vitest";
import { refusePrivate } from "../../lib/data/crawl/addresses.js";
import { food, listPage, redirect, status } from "./crawl-site.js";
import type { Trouble } from "./crawl-site-troubles.js";

const gone: Pick<Trouble, "names" | "pictures"> = { names: [], pictures: 0 };
const robots = (...lines: string[]) => ({ "/robots.txt": lines.join("\n") });
/** The site itself counts as public here. */
const refuse = (address: string) => (address === "127.0.0.1" ? undefined : refusePrivate(address));
const guarded = { allowPrivate: false, world: { refuse } };

/** What may be fetched: robots.txt, private addresses. */
export const RULE_TROUBLES: Trouble[] = [
  {
    name: "robots.txt forbids the pages",
    happens: "not fetched; listed with the line of robots.txt",
    routes: () => robots("User-agent: *", "Disallow: /list"),
    ...gone,
    error: ["ERR_ACCESS", /forbidden by .*\/robots\.txt, line 2/],
    asked: { "/list": 0 },
  },
  {
    name: "robots.txt forbids this program by its name",
    happens: "not fetched, whatever User-Agent is sent",
    routes: () => robots("User-agent: vlmr1-native", "Disallow: /", "", "User-agent: *", "Allow: /"),
    rules: () => ({ headers: { "User-Agent": "Mozilla/5.0" } }),
    ...gone,
    error: ["ERR_ACCESS", /forbidden by/],
    asked: { "/list": 0 },
  },
  {
    name: "robots.txt forbids the pictures",
    happens: "items are kept without them",
    routes: () => robots("User-agent: *", "Disallow: /*.png$"),
    pictures: 0,
    problems: [/1\.png: forbidden/, /2\.png: forbidden/],
    asked: { "/1.png": 0 },
    later: false,
  },
  {
    name: "a redirect into what robots.txt forbids",
    happens: "not followed",
    routes: () => ({ ...robots("User-agent: *", "Disallow: /secret"), "/list": redirect("/secret/list") }),
    ...gone,
    error: ["ERR_ACCESS", /secret\/list: forbidden/],
    asked: { "/secret/list": 0 },
  },
  {
    name: "robots.txt asks for pauses (Crawl-delay)",
    happens: "they are made, where longer than `delay`",
    routes: () => robots("User-agent: *", "Crawl-delay: 5"),
    check: ({ waits }) => expect(waits).toEqual([5000, 5000, 5000]),
  },
  {
    name: "robots.txt answers 500",
    happens: "tried again; then nothing is fetched there for now",
    routes: () => ({ "/robots.txt": status(500) }),
    ...gone,
    error: ["ERR_NETWORK", /robots\.txt cannot be read, so nothing is fetched there now/],
    asked: { "/robots.txt": 3, "/list": 0 },
  },
  {
    name: "no robots.txt",
    happens: "everything is allowed",
    routes: () => ({ "/robots.txt": status(404) }),
    asked: { "/robots.txt": 1 },
  },
  {
    name: "a robots.txt that is a page",
    happens: "everything is allowed",
    routes: () => ({ "/robots.txt": listPage(food("a", "b", "c")) }),
  },
  {
    name: "a robots.txt of a megabyte",
    happens: "its first 500 KiB are read",
    routes: () => robots("User-agent: *", "Disallow: /secret", "#".repeat(1_000_000), "Disallow: /"),
  },
  {
    name: "a robots.txt of rules that keep their reader busy",
    happens: "given up after a second; nothing is fetched",
    routes: () => robots("User-agent: *", ...new Array<string>(9000).fill(`Disallow: /*${"*t".repeat(24)}b`)),
    rules: (url) => ({ start: [{ url: `${url}/list?${"t".repeat(8000)}` }] }),
    ...gone,
    error: ["ERR_ACCESS", /robots\.txt takes longer than 1000 ms to apply/],
  },
  {
    name: "a site at a private address",
    happens: "the crawl ends; `--allow-private` allows it",
    options: { allowPrivate: false },
    ...gone,
    error: ["ERR_PRIVATE_ADDRESS", /127\.0\.0\.1 is no public address \(loopback\)/],
    asked: { "/robots.txt": 0 },
  },
  {
    name: "a name that leads to a private address",
    happens: "refused when it is connected to, so that a name that changes its address gains nothing",
    rules: (url) => ({ start: [{ url: url.replace("127.0.0.1", "food.example").concat("/list") }] }),
    options: { allowPrivate: false, world: { refuse, resolve: async () => [{ address: "10.1.2.3", family: 4 }] } },
    ...gone,
    error: ["ERR_PRIVATE_ADDRESS", /food\.example \(10\.1\.2\.3\) is no public address \(private\)/],
    asked: { "/robots.txt": 0 },
  },
  {
    name: "a redirect to a private address",
    happens: "refused",
    routes: () => ({ "/list": redirect("http://169.254.169.254/latest/meta-data") }),
    options: guarded,
    ...gone,
    error: ["ERR_PRIVATE_ADDRESS", /169\.254\.169\.254 is no public address \(linkLocal\)/],
  },
  {
    name: "a picture at a private address, written as IPv6 or as a number",
    happens: "the item is kept without it",
    routes: () => ({
      "/list": listPage(
        food("rice", "1", "http://[::ffff:10.0.0.1]/x.png"),
        food("milk", "2", "http://2130706434/x.png"),
      ),
    }),
    options: guarded,
    pictures: 0,
    problems: [/::ffff:a00:1 is no public address/, /127\.0\.0\.2 is no public address/],
    later: false,
  },
];
