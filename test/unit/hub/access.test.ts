import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { partialBytes } from "../../../lib/hub/partial-file.js";
import { TestCache } from "../../support/hub-cache.js";
import { HubServer, sha256 } from "../../support/hub-server.js";

const WEIGHTS = Buffer.alloc(200_000, "w");
const files = { "config.json": "{}", "tokenizer.json": "[]", "model.safetensors": WEIGHTS };

let hub: HubServer;
let cache: TestCache;

beforeAll(async () => {
  hub = await HubServer.start();
  hub.commit("org/open", files);
  hub.commit("org/gated", files, "main", { gated: "hf_right" });
  hub.commit("org/private", files, "main", { private: "hf_right" });
});
beforeEach(() => {
  cache = new TestCache(hub);
});
afterEach(() => hub.reset());

describe("what the hub refuses", () => {
  it.each([
    ["org/none", undefined, "ERR_NOT_FOUND", /neither a folder org\/none here nor a repository/, /set HF_TOKEN/],
    ["org/none", "hf_right", "ERR_NOT_FOUND", /neither a folder/, /^Check the spelling\.$/],
    ["org/open@v9", undefined, "ERR_NOT_FOUND", /no revision "v9"/, /tree\/main/],
    ["org/gated", undefined, "ERR_ACCESS", /may not be read/, /licence at .*org\/gated, and set HF_TOKEN/],
    ["org/gated", "hf_wrong", "ERR_ACCESS", /may not be read/, /check that the token/],
    ["org/private", undefined, "ERR_NOT_FOUND", /neither a folder/, /HF_TOKEN/],
  ])("%s with token %s", async (name, token, code, message, hint) => {
    await expect(cache.fetch(name, { token })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
    expect(hub.asked.filter(({ path }) => path.includes("model.safetensors")).length).toBeLessThan(2);
  });

  it("a token that nobody gave out", async () => {
    hub.fail("api", { status: 401, headers: { "X-Error-Message": "Invalid credentials" } });
    await expect(cache.fetch("org/open", { token: "hf_old" })).rejects.toMatchObject({
      code: "ERR_ACCESS",
      message: expect.stringContaining("did not accept the access token: Invalid credentials"),
    });
  });

  it("anything else, in the server's words", async () => {
    hub.fail("api", { status: 451, body: '{"error": "for legal\\nreasons"}' });
    await expect(cache.fetch("org/open")).rejects.toMatchObject({
      message: expect.stringMatching(/451 for org\/open: for legal reasons/),
    });
  });

  it("is a login page taken for an answer", async () => {
    hub.fail("api", { status: 200, body: "<html>" });
    await expect(cache.fetch("org/open")).rejects.toMatchObject({
      code: "ERR_NETWORK",
      hint: expect.stringContaining("HF_ENDPOINT"),
    });
  });

  it.each([
    ['{"sha": "../../x"}', /commit/],
    ["{}", /commit/],
  ])("is a commit that is none: %s", async (body, message) => {
    hub.fail("api", { status: 200, body });
    await expect(cache.fetch("org/open")).rejects.toMatchObject({ code: "ERR_NETWORK", message });
  });
});

describe("the access token", () => {
  it("opens what is gated or private", async () => {
    await cache.fetch("org/gated", { token: "hf_right" });
    await cache.fetch("org/private", { token: "hf_right" });
  });

  it("need not look like one of huggingface.co", async () => {
    hub.commit("org/mirror", files, "main", { private: "mirror-token" });
    await cache.fetch("org/mirror", { token: "mirror-token" });
  });

  it("goes to the hub and to nobody else", async () => {
    await cache.fetch("org/gated", { token: "hf_right" });
    const sent = (host: string) => hub.asked.filter((asked) => asked.host === host).map((asked) => asked.authorization);
    expect(new Set(sent("hub"))).toEqual(new Set(["Bearer hf_right"]));
    expect(sent("cdn")).toEqual([undefined]);
  });

  it("does not follow a listing to another server", async () => {
    hub.pageSize = 1;
    hub.pagesElsewhere = true;
    await expect(cache.fetch("org/open", { token: "hf_right" })).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    expect(hub.asked.at(-1)).toMatchObject({ host: "cdn", authorization: undefined });
  });
});

describe("several at once", () => {
  it("fetch a file once in one process", async () => {
    const [first, second] = await Promise.all([cache.fetch("org/open"), cache.fetch("org/open")]);
    expect(first).toBe(second);
    expect(readFileSync(join(first, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(cache.partials("org/open")).toEqual([]);
  });

  it("waits for another call that is at work", async () => {
    hub.fail("model.safetensors", { cutAfter: 100_000 }, { status: 503, headers: { "Retry-After": "1" } });
    const first = cache.fetch("org/open");
    while (cache.notices.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all([first, cache.fetch("org/open")]);
    // Cut, refused, and the rest: none of them by the second call.
    expect(hub.asked.filter(({ host }) => host === "cdn")).toHaveLength(3);
  });
});

describe("what others left", () => {
  const HOST_OF_OTHERS = "00000000";
  const blob = () => cache.path("org/open", "blobs", sha256(WEIGHTS));
  const leave = (who: string, bytes: number) => {
    mkdirSync(cache.path("org/open", "blobs"), { recursive: true });
    const path = `${blob()}.vlmr1${who}.incomplete`;
    writeFileSync(path, WEIGHTS.subarray(0, bytes));
    return path;
  };
  /** This machine's mark, as a process that just ended would leave it. */
  const mine = async (pid: number) => {
    hub.fail("model.safetensors", { stallAfter: 1000 });
    const controller = new AbortController();
    const fetching = cache.fetch("org/open", {}, { signal: controller.signal }).catch(() => undefined);
    let name: string | undefined;
    while (name === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      name = cache.partials("org/open").find((candidate) => candidate.startsWith(sha256(WEIGHTS)));
    }
    controller.abort(new Error("stop"));
    await fetching;
    hub.reset();
    return `-${/vlmr1-([0-9a-f]+)-/.exec(name)?.[1]}-${pid}-0badcafe`;
  };
  const firstRange = () => hub.asked.find(({ host }) => host === "cdn")?.range;

  it("is gone on with when its process is dead", async () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    leave(await mine(pid), 150_000);
    expect(await partialBytes(blob())).toBe(150_000);
    await cache.fetch("org/open");
    expect(firstRange()).toBe("bytes=150000-");
    expect(cache.partials("org/open")).toEqual([]);
  });

  it("is waited for while its process lives and writes", async () => {
    leave(await mine(process.ppid), 150_000);
    const signal = AbortSignal.timeout(500);
    await expect(cache.fetch("org/open", {}, { signal })).rejects.toMatchObject({ name: "TimeoutError" });
    expect(firstRange()).toBeUndefined();
    writeFileSync(blob(), WEIGHTS);
    await cache.fetch("org/open");
    expect(hub.deliveries("model.safetensors").filter(({ host }) => host === "cdn")).toEqual([]);
  });

  it("is left alone when it belongs to another machine, unless that was long ago", async () => {
    const path = leave(`-${HOST_OF_OTHERS}-1-0badcafe`, 150_000);
    await cache.fetch("org/open");
    expect(hub.asked.find(({ host }) => host === "cdn")).toMatchObject({ range: undefined });
    expect(readFileSync(path)).toHaveLength(150_000);
    const old = new Date(Date.now() - 7_200_000);
    utimesSync(path, old, old);
    expect(await partialBytes(blob())).toBe(150_000);
  });

  it("is cut off where it is too long", async () => {
    leave("", 150_000);
    writeFileSync(`${blob()}.vlmr1.incomplete`, Buffer.concat([WEIGHTS, WEIGHTS]));
    await cache.fetch("org/open");
    expect(readFileSync(blob()).equals(WEIGHTS)).toBe(true);
  });

  it("needs no network when it is whole", async () => {
    leave("", WEIGHTS.length);
    await cache.fetch("org/open");
    expect(hub.asked.filter(({ host }) => host === "cdn")).toEqual([]);
  });
});
