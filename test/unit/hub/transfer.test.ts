import { randomBytes } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { HubSettings } from "../../../lib/hub/settings.js";
import { TestCache } from "../../support/hub-cache.js";
import { HubServer, sha256 } from "../../support/hub-server.js";

const REPOSITORY = "org/tiny";
const WEIGHTS = "model.safetensors";
const weights = randomBytes(400_000);
const files = { "config.json": '{"a": 1}', "tokenizer.json": "{}", [WEIGHTS]: weights };

let hub: HubServer;
let cache: TestCache;

beforeAll(async () => {
  hub = await HubServer.start();
  hub.commit(REPOSITORY, files);
});
beforeEach(() => {
  cache = new TestCache(hub);
});
afterEach(() => hub.reset());

/** Where the deliveries of the weights began. */
const ranges = () =>
  hub.asked.filter(({ host }) => host === "cdn").map(({ range }) => Number(/=(\d+)-/.exec(range ?? "=0-")?.[1]));

/** Whether the weights come out right; comparing them byte by byte in the test runner takes a second. */
async function fetchesAll(over: Partial<HubSettings> = {}): Promise<boolean> {
  return readFileSync(join(await cache.fetch(REPOSITORY, over), WEIGHTS)).equals(weights);
}

describe("what is repaired", () => {
  it("goes on where a connection was cut", async () => {
    hub.fail(WEIGHTS, { cutAfter: 100_000 }, { cutAfter: 250_000 });
    expect(await fetchesAll()).toBe(true);
    expect(ranges()).toEqual([0, 100_000, 250_000]);
    expect(cache.notices).toHaveLength(2);
    expect(cache.partials(REPOSITORY)).toEqual([]);
  });

  it("goes on where a body ended early", async () => {
    hub.fail(WEIGHTS, { endAfter: 100_000 });
    expect(await fetchesAll()).toBe(true);
    expect(ranges()).toEqual([0, 100_000]);
  });

  it("goes on after silence", async () => {
    hub.fail(WEIGHTS, { stallAfter: 100_000 });
    expect(await fetchesAll({ timeout: 300 })).toBe(true);
    expect(ranges()).toEqual([0, 100_000]);
    expect(cache.notices).toEqual([expect.stringContaining("nothing came for 0.3 s")]);
  });

  it("does not give up while something comes", async () => {
    const cuts = Array.from({ length: 10 }, (_, index) => ({ cutAfter: 10_000 * (index + 1) }));
    hub.fail(WEIGHTS, ...cuts);
    expect(await fetchesAll()).toBe(true);
    expect(ranges()).toHaveLength(11);
  });

  it.each([
    ["starts again", { ignoreRange: true } as const],
    ["sends another part", { wrongRange: true } as const],
    ["does not know the range", { status: 416 } as const],
  ])("begins anew where the server %s", async (_, fault) => {
    hub.fail(WEIGHTS, { cutAfter: 100_000 }, fault);
    expect(await fetchesAll()).toBe(true);
    expect(ranges().slice(0, 2)).toEqual([0, 100_000]);
  });

  it("tries again after 5xx", async () => {
    hub.fail(WEIGHTS, { status: 500 }, { status: 503 });
    hub.fail("api", { status: 502 });
    expect(await fetchesAll()).toBe(true);
    expect(cache.notices.map((text) => text.replace(/^\S+/, "host"))).toEqual([
      "host answered 502; trying again in 0 s",
      "host answered 500; trying again in 0 s",
      "host answered 503; trying again in 0 s",
    ]);
  });

  it("waits as long as a busy server asks for", async () => {
    hub.fail(WEIGHTS, { status: 429, headers: { "Retry-After": "1" } });
    const started = performance.now();
    expect(await fetchesAll()).toBe(true);
    expect(performance.now() - started).toBeGreaterThan(990);
  });

  it("fetches wrong bytes again", async () => {
    hub.fail(WEIGHTS, { corrupt: true });
    expect(await fetchesAll()).toBe(true);
    expect(ranges()).toEqual([0, 0]);
  });

  it("finds wrong bytes in a small file", async () => {
    hub.fail("config.json", { corrupt: true });
    expect(readFileSync(join(await cache.fetch(REPOSITORY), "config.json"), "utf8")).toBe('{"a": 1}');
    expect(hub.deliveries("config.json")).toHaveLength(2);
  });
});

describe("what is not", () => {
  const failing = async (code: string) => {
    await expect(cache.fetch(REPOSITORY)).rejects.toMatchObject({ code });
  };

  it("ends when a file does not move any more, and keeps what there is", async () => {
    hub.fail(WEIGHTS, { cutAfter: 100_000 }, ...Array(4).fill({ status: 500 }));
    await failing("ERR_NETWORK");
    expect(cache.partials(REPOSITORY)).toEqual([`${sha256(weights)}.vlmr1.incomplete`]);
    hub.reset();
    expect(await fetchesAll()).toBe(true);
    expect(ranges()).toEqual([100_000]);
    expect(hub.deliveries("config.json")).toEqual([]);
  });

  it("ends where a server always begins anew", async () => {
    hub.fail(WEIGHTS, { cutAfter: 9000 }, ...Array(9).fill({ ignoreRange: true, cutAfter: 9000 }));
    await failing("ERR_NETWORK");
    expect(ranges().length).toBeLessThan(9);
  });

  it("ends where a server asks for too much patience", async () => {
    hub.fail(WEIGHTS, { status: 429, headers: { "Retry-After": "60" } });
    await expect(cache.fetch(REPOSITORY)).rejects.toMatchObject({
      message: expect.stringMatching(/429; it asks to wait 60 s/),
    });
    expect(ranges()).toEqual([0]);
  });

  it("ends when wrong bytes come twice, and keeps none of them", async () => {
    hub.fail(WEIGHTS, { corrupt: true }, { corrupt: true });
    await failing("ERR_CHECKSUM");
    expect(cache.blobs(REPOSITORY)).not.toContainEqual(expect.stringContaining(sha256(weights)));
  });

  it("ends where a part of long ago is spoilt only after fetching all of it", async () => {
    hub.fail(WEIGHTS, { cutAfter: 100_000 }, ...Array(4).fill({ status: 500 }));
    await failing("ERR_NETWORK");
    const partial = cache.path(REPOSITORY, "blobs", cache.partials(REPOSITORY)[0] as string);
    writeFileSync(partial, readFileSync(partial).fill(0, 0, 10));
    hub.reset();
    expect(await fetchesAll()).toBe(true);
    expect(ranges()).toEqual([100_000, 0]);
  });
});

describe("Ctrl-C", () => {
  it("keeps the part that came, and the next run goes on from it", async () => {
    hub.fail(WEIGHTS, { stallAfter: 100_000 });
    const controller = new AbortController();
    const reason = new Error("stop");
    const fetching = cache.fetch(REPOSITORY, {}, { signal: controller.signal });
    const partial = () => cache.path(REPOSITORY, "blobs", cache.partials(REPOSITORY)[0] ?? "none yet");
    const stopping = vi.waitFor(() => expect(statSync(partial()).size).toBe(100_000), 10_000);
    void stopping.finally(() => controller.abort(reason));
    await expect(fetching).rejects.toBe(reason);
    await stopping;
    expect(cache.partials(REPOSITORY)).toHaveLength(1);
    expect(await fetchesAll()).toBe(true);
    expect(ranges()).toEqual([0, 100_000]);
  });

  it("ends a wait", async () => {
    hub.fail(WEIGHTS, { status: 429, headers: { "Retry-After": "2" } });
    const signal = AbortSignal.timeout(300);
    await expect(cache.fetch(REPOSITORY, {}, { signal })).rejects.toMatchObject({ name: "TimeoutError" });
  });

  it("before the start asks nothing", async () => {
    const signal = AbortSignal.abort(new Error("stop"));
    await expect(cache.fetch(REPOSITORY, {}, { signal })).rejects.toBe(signal.reason);
    expect(hub.asked).toEqual([]);
  });
});

describe("progress", () => {
  it("counts all files, and what an earlier run left", async () => {
    const totalBytes = weights.length + 8 + 2;
    hub.fail(WEIGHTS, { cutAfter: 100_000 }, ...Array(4).fill({ status: 500 }));
    await expect(cache.fetch(REPOSITORY)).rejects.toThrow();
    expect(cache.progress[0]).toMatchObject({ bytes: 0, files: 0, totalBytes, totalFiles: 3, repository: REPOSITORY });
    cache.progress.length = 0;
    hub.reset();
    await cache.fetch(REPOSITORY);
    expect(cache.progress[0]).toMatchObject({ bytes: 100_000, totalBytes: weights.length, totalFiles: 1 });
    expect(cache.progress.at(-1)).toEqual({
      repository: REPOSITORY,
      bytes: weights.length,
      totalBytes: weights.length,
      files: 1,
      totalFiles: 1,
      file: WEIGHTS,
      fileBytes: weights.length,
      fileTotalBytes: weights.length,
    });
  });
});
