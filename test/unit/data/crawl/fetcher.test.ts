import { describe, expect, test, vi } from "vitest";
import { refusePrivate } from "../../../../lib/data/crawl/addresses.js";
import { CrawlFailure } from "../../../../lib/data/crawl/failure.js";
import { Fetcher, type FetchSettings } from "../../../../lib/data/crawl/fetcher.js";
import type { Answer, Headers, HttpClient } from "../../../../lib/data/crawl/http.js";
import { backOff, HostPace } from "../../../../lib/data/crawl/pace.js";
import { FakeClock } from "../../../support/crawl-site.js";

const WANT = { limit: 1000, accept: "*/*" };

/** A network of redirects; what has none is a page. */
function fetcherOf(
  redirects: Record<string, string>,
  { onAnswer, ...settings }: Partial<FetchSettings> & { onAnswer?: (url: URL) => void } = {},
) {
  const asked: [string, Headers][] = [];
  const clock = new FakeClock();
  const times: number[] = [];
  const http = {
    get: async (url: URL, _want: unknown, headers: Headers): Promise<Answer> => {
      times.push(clock.now());
      if (url.pathname !== "/robots.txt") asked.push([url.href, headers]);
      onAnswer?.(url);
      return { url: url.href, status: 200, headers: {}, location: redirects[url.href], body: Buffer.alloc(0) };
    },
  } as unknown as HttpClient;
  const fetcher = new Fetcher(http, new HostPace(clock, 4, undefined), clock, {
    retries: 0,
    maxRedirects: 5,
    firstWait: 1000,
    longestWait: 8000,
    longestAskedWait: 1000,
    headers: {},
    origins: new Set(["https://a.example"]),
    refuse: refusePrivate,
    signal: undefined,
    onNotice: () => undefined,
    ...settings,
  });
  return { fetcher, asked, times };
}

describe("redirects", () => {
  test("do not lead from https to http; the other way they do", async () => {
    const { fetcher, asked } = fetcherOf({
      "https://a.example/": "http://a.example/",
      "http://b.example/": "https://b.example/",
    });
    await expect(fetcher.fetch("https://a.example/", 0, WANT)).rejects.toThrow(/from https to http .* is not followed/);
    expect((await fetcher.fetch("http://b.example/", 0, WANT)).url).toBe("https://b.example/");
    expect(asked.map(([url]) => url)).toEqual(["https://a.example/", "http://b.example/", "https://b.example/"]);
  });

  test("take no password headers to another host, and the others along", async () => {
    const { fetcher, asked } = fetcherOf(
      { "https://a.example/": "https://b.example/" },
      { headers: { Authorization: "Basic x", Cookie: "a=1", "X-Key": "k", Referer: "r", "User-Agent": "me/1" } },
    );
    const forAll = { referer: "r", "user-agent": "me/1" };
    await fetcher.fetch("https://a.example/", 0, WANT);
    expect(asked.map(([, headers]) => headers)).toEqual([
      { authorization: "Basic x", cookie: "a=1", "x-key": "k", ...forAll },
      forAll,
    ]);
    asked.length = 0;
    // As of a picture that a page names.
    await fetcher.fetch("https://elsewhere.example/1.png", 0, WANT);
    expect(asked.map(([, headers]) => headers)).toEqual([forAll]);
  });
});

describe("pauses", () => {
  test("are made between requests to a host, not between hosts", async () => {
    const { fetcher, times } = fetcherOf({});
    const urls = ["http://a.example/1", "http://a.example/2", "http://b.example/1", "http://a.example/3"];
    for (const url of urls) await fetcher.fetch(url, 2000, WANT);
    // robots.txt of a, 1, 2, robots.txt of b, 1, 3
    expect(times).toEqual([0, 2000, 4000, 4000, 6000, 6000]);
  });

  test("hold for requests that are sent together", async () => {
    const { fetcher, times } = fetcherOf({});
    await Promise.all([1, 2, 3].map((n) => fetcher.fetch(`http://a.example/${n}`, 1000, WANT)));
    expect(times).toEqual([0, 1000, 2000, 3000]);
  });

  test("that are asked for hold for the host that asks, behind a redirect too", async () => {
    let busy = true;
    const { fetcher, times } = fetcherOf(
      { "http://a.example/": "http://b.example/" },
      {
        retries: 1,
        onAnswer: (url) => {
          if (url.href !== "http://b.example/" || !busy) return;
          busy = false;
          throw new CrawlFailure("ERR_NETWORK", "busy", { retry: true, askedWait: 900, host: url.host });
        },
      },
    );
    const later = fetcher.fetch("http://a.example/", 0, WANT);
    await vi.waitFor(() => expect(busy).toBe(false));
    await Promise.all([later, fetcher.fetch("http://b.example/2", 0, WANT)]);
    expect(times.filter((time) => time >= 900)).toHaveLength(3);
  });

  test("double with each try, up to the longest, and are the same for the same address", () => {
    const waits = [1, 2, 3, 4, 5].map((tries) => backOff("http://a.example/", tries, 1000, 8000));
    expect(waits).toEqual([1, 2, 3, 4, 5].map((tries) => backOff("http://a.example/", tries, 1000, 8000)));
    for (const [index, whole] of [1000, 2000, 4000, 8000, 8000].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(whole / 2);
      expect(waits[index]).toBeLessThanOrEqual(whole);
    }
    expect(backOff("http://a.example/2", 1, 1000, 8000)).not.toBe(waits[0]);
  });
});

test("a host's robots.txt is asked for once, also by requests that are sent together", async () => {
  const { fetcher } = fetcherOf({});
  await Promise.all([1, 2, 3].map((n) => fetcher.fetch(`http://a.example/${n}`, 0, WANT)));
  expect(fetcher.requests).toBe(4);
});
