import { mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { filesIn, isLink, TestCache } from "../../support/hub-cache.js";
import { gitHash, HubServer, sha256 } from "../../support/hub-server.js";

vi.mock("node:fs/promises", { spy: true });

const WEIGHTS = Buffer.alloc(6000, "w");
const files = { "config.json": "{}", "tokenizer.json": "[]", "model.safetensors": WEIGHTS };
const decoys = { "pytorch_model.bin": WEIGHTS, "README.md": "read me", "onnx/model.onnx": WEIGHTS };

let hub: HubServer;
let cache: TestCache;
let commit: string;

beforeAll(async () => {
  hub = await HubServer.start();
  commit = hub.commit("org/tiny", { ...files, ...decoys });
});
beforeEach(() => {
  cache = new TestCache(hub);
});
afterEach(() => {
  hub.reset();
  vi.resetAllMocks();
});

describe("the layout", () => {
  it("is that of the shared cache: blobs, refs and links to blobs", async () => {
    const folder = await cache.fetch("org/tiny");
    expect(folder).toBe(cache.path("org/tiny", "snapshots", commit));
    expect(readFileSync(cache.path("org/tiny", "refs", "main"), "utf8")).toBe(commit);
    expect(cache.blobs("org/tiny")).toEqual([gitHash("{}"), gitHash("[]"), sha256(WEIGHTS)].sort());
    expect(readlinkSync(join(folder, "config.json"))).toBe(join("..", "..", "blobs", gitHash("{}")));
    expect(filesIn(folder)).toEqual(Object.fromEntries(Object.entries(files).map(([k, v]) => [k, Buffer.from(v)])));
  });

  it("has no links where there can be none", async () => {
    vi.mocked(fs.symlink).mockRejectedValue(Object.assign(new Error("no links"), { code: "EPERM" }));
    vi.mocked(fs.link).mockRejectedValue(Object.assign(new Error("no links"), { code: "ENOTSUP" }));
    const folder = await cache.fetch("org/tiny");
    expect(isLink(join(folder, "model.safetensors"))).toBe(false);
    expect(readFileSync(join(folder, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    // Python's library moves contents into the snapshot there: without blobs nothing is fetched again either.
    rmSync(cache.path("org/tiny", "blobs"), { recursive: true });
    hub.reset();
    expect(await cache.fetch("org/tiny")).toBe(folder);
    expect(hub.deliveries("model.safetensors")).toEqual([]);
  });

  it("keeps what two commits share once", async () => {
    await cache.fetch("org/tiny");
    hub.reset();
    const next = hub.commit("org/tiny", { ...files, "config.json": '{"new": 1}' }, "next");
    const folder = await cache.fetch("org/tiny@next");
    expect(folder).toBe(cache.path("org/tiny", "snapshots", next));
    expect(readFileSync(join(folder, "config.json"), "utf8")).toBe('{"new": 1}');
    expect(hub.asked.filter(({ path }) => path.includes("/resolve/")).map(({ path }) => path)).toEqual([
      `/org/tiny/resolve/${next}/config.json`,
    ]);
  });

  it("follows a branch that moved", async () => {
    hub.commit("org/moving", files);
    const first = await cache.fetch("org/moving");
    const second = hub.commit("org/moving", { ...files, "config.json": "[1]" });
    expect(await cache.fetch("org/moving")).toBe(cache.path("org/moving", "snapshots", second));
    expect(readFileSync(cache.path("org/moving", "refs", "main"), "utf8")).toBe(second);
    expect(readFileSync(join(first, "config.json"), "utf8")).toBe("{}");
  });
});

describe("what is fetched", () => {
  it("is nothing when all is there", async () => {
    await cache.fetch("org/tiny");
    hub.reset();
    cache.progress.length = 0;
    await cache.fetch("org/tiny");
    expect(hub.asked.map(({ path }) => path)).toEqual([
      "/api/models/org/tiny/revision/main",
      `/api/models/org/tiny/tree/${commit}`,
    ]);
    expect(cache.progress).toEqual([]);
  });

  it("is a listing of several pages", async () => {
    hub.pageSize = 2;
    expect(Object.keys(filesIn(await cache.fetch("org/tiny"))).sort()).toEqual(Object.keys(files).sort());
  });

  it("is shards by their index", async () => {
    const index = JSON.stringify({ weight_map: { a: "model-00001-of-00002.safetensors", b: "b.safetensors" } });
    const shards = { "model-00001-of-00002.safetensors": WEIGHTS, "b.safetensors": Buffer.alloc(7000) };
    hub.commit("org/cut", {
      "config.json": "{}",
      "tokenizer.json": "[]",
      "model.safetensors.index.json": index,
      ...shards,
      "old.safetensors": WEIGHTS,
    });
    const folder = await cache.fetch("org/cut");
    expect(Object.keys(filesIn(folder)).sort()).toEqual(
      ["config.json", "tokenizer.json", "model.safetensors.index.json", ...Object.keys(shards)].sort(),
    );
    expect(await cache.fetch("org/cut", { offline: true })).toBe(folder);
    rmSync(join(folder, "b.safetensors"));
    await expect(cache.fetch("org/cut", { offline: true })).rejects.toMatchObject({ code: "ERR_OFFLINE" });
  });

  it("is no weights where only the tokenizer is wanted", async () => {
    const folder = await cache.fetch("org/tiny", {}, { wanted: "tokenizer" });
    expect(Object.keys(filesIn(folder)).sort()).toEqual(["config.json", "tokenizer.json"]);
    expect(await cache.fetch("org/tiny", { offline: true }, { wanted: "tokenizer" })).toBe(folder);
    await expect(cache.fetch("org/tiny", { offline: true })).rejects.toMatchObject({ code: "ERR_OFFLINE" });
  });

  it("is refused without safetensors, and nothing is fetched", async () => {
    hub.commit("org/old", { "config.json": "{}", "pytorch_model.bin": WEIGHTS });
    await expect(cache.fetch("org/old")).rejects.toMatchObject({
      code: "ERR_MODEL",
      message: expect.stringMatching(/pytorch_model\.bin/),
    });
    expect(cache.blobs("org/old")).toEqual([]);
  });

  it("is refused where the disk is too small", async () => {
    vi.mocked(fs.statfs).mockResolvedValue({ bavail: 1, bsize: 4096, blocks: 9 } as Awaited<
      ReturnType<typeof fs.statfs>
    >);
    await expect(cache.fetch("org/tiny")).rejects.toMatchObject({
      code: "ERR_IO",
      hint: expect.stringContaining("HF_HUB_CACHE"),
    });
    expect(hub.deliveries("model.safetensors")).toEqual([]);
  });
});

describe("without a network", () => {
  // Port 1 would not even be tried: fetch has a list of those.
  const gone = { endpoint: "http://127.0.0.1:2" };

  it("takes the copy and asks nobody when that is forbidden", async () => {
    const folder = await cache.fetch("org/tiny");
    hub.reset();
    expect(await cache.fetch("org/tiny", { offline: true })).toBe(folder);
    expect(await cache.fetch(`org/tiny@${commit}`, { offline: true })).toBe(folder);
    expect(hub.asked).toEqual([]);
  });

  it("says what is missing", async () => {
    await expect(cache.fetch("org/tiny", { offline: true })).rejects.toMatchObject({
      code: "ERR_OFFLINE",
      message: expect.stringContaining(cache.folder),
    });
    await expect(cache.fetch("org/tiny", gone)).rejects.toMatchObject({
      code: "ERR_NETWORK",
      message: expect.stringMatching(/127\.0\.0\.1:2 cannot be reached: .*ECONNREFUSED/),
    });
  });

  it.each(["unreachable", "broken"])("takes the copy when the hub is %s, and says so once", async (how) => {
    const folder = await cache.fetch("org/tiny");
    if (how === "broken") hub.fail("api", { status: 500 }, { status: 500 });
    const settings = how === "broken" ? {} : gone;
    expect(await cache.fetch("org/tiny", settings)).toBe(folder);
    expect(await cache.fetch("org/tiny", settings)).toBe(folder);
    expect(cache.notices).toEqual([expect.stringMatching(/; going on with the copy of org\/tiny in the cache$/)]);
  });

  it("does not take half a copy", async () => {
    const folder = await cache.fetch("org/tiny");
    rmSync(join(folder, "tokenizer.json"));
    await expect(cache.fetch("org/tiny", { offline: true })).rejects.toMatchObject({ code: "ERR_OFFLINE" });
  });

  it("believes the list that another library kept", async () => {
    await cache.fetch("org/tiny");
    const list = cache.path("org/tiny", "trees", `${commit}.json`);
    mkdirSync(dirname(list), { recursive: true });
    const entries = { ...files, "README.md": "" };
    const write = (names: string[]) =>
      writeFileSync(list, JSON.stringify({ files: Object.fromEntries(names.map((name) => [name, { size: 1 }])) }));
    write(Object.keys(entries));
    await cache.fetch("org/tiny", { offline: true });
    write([...Object.keys(entries), "chat_template.jinja"]);
    await expect(cache.fetch("org/tiny", { offline: true })).rejects.toMatchObject({ code: "ERR_OFFLINE" });
  });
});
