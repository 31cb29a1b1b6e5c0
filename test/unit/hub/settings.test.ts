import { writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readHubSettings } from "../../../lib/hub/settings.js";
import { temporaryFolder } from "../../support/temporary.js";

const NAMES = [
  "HF_HOME",
  "HF_HUB_CACHE",
  "HUGGINGFACE_HUB_CACHE",
  "XDG_CACHE_HOME",
  "HF_ENDPOINT",
  "HF_TOKEN",
  "HUGGING_FACE_HUB_TOKEN",
  "HF_TOKEN_PATH",
  "HF_HUB_OFFLINE",
  "TRANSFORMERS_OFFLINE",
  "HF_HUB_DOWNLOAD_TIMEOUT",
  "HF_HUB_DISABLE_IMPLICIT_TOKEN",
];
const folder = temporaryFolder();

async function read(env: Record<string, string> = {}) {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  return readHubSettings();
}

beforeEach(() => {
  for (const name of NAMES) vi.stubEnv(name, undefined);
});
afterEach(() => vi.unstubAllEnvs());

describe("the cache", () => {
  it.each([
    [{}, join(homedir(), ".cache/huggingface/hub")],
    [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
    [{ HF_HOME: "/h" }, "/h/hub"],
    [{ HF_HOME: "~/h" }, join(homedir(), "h/hub")],
    [{ HF_HOME: "/h", HF_HUB_CACHE: "/c" }, "/c"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as a shell would write it
    [{ BASE: "/b", HF_HUB_CACHE: "$BASE/${BASE}/$NOT_THERE" }, "/b//b/$NOT_THERE"],
  ])("%j", async (env, cache) => {
    expect((await read(env as unknown as Record<string, string>)).cache).toBe(cache);
  });
});

describe("the token", () => {
  it("comes from HF_TOKEN, then a file", async () => {
    writeFileSync(join(folder, "token"), "hf_file\n");
    expect((await read({ HF_HOME: folder })).token).toBe("hf_file");
    expect((await read({ HF_TOKEN: " hf_env " })).token).toBe("hf_env");
    expect((await read({ HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).token).toBeUndefined();
  });

  it("may lie at HF_TOKEN_PATH", async () => {
    const path = join(folder, "elsewhere");
    writeFileSync(path, "hf_else");
    expect((await read({ HF_HOME: "/nowhere", HF_TOKEN_PATH: path })).token).toBe("hf_else");
    expect((await read({ HF_TOKEN_PATH: "/nowhere" })).token).toBeUndefined();
  });

  it("is not shown where it cannot be one", async () => {
    await expect(read({ HF_TOKEN: "hf_secret\nhf_other" })).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.not.stringContaining("secret"),
    });
  });
});

it("reads address, offline and time limit", async () => {
  expect(await read({ HF_HOME: "/nowhere" })).toMatchObject({
    endpoint: "https://huggingface.co",
    offline: false,
    timeout: 30_000,
  });
  const env = { HF_ENDPOINT: "http://mirror:80/hub//", HF_HUB_OFFLINE: "yes", HF_HUB_DOWNLOAD_TIMEOUT: "2.5" };
  expect(await read(env)).toMatchObject({ endpoint: "http://mirror:80/hub", offline: true, timeout: 2500 });
});

it.each([
  ["HF_ENDPOINT", "mirror"],
  ["HF_ENDPOINT", "ftp://a"],
  ["HF_HUB_DOWNLOAD_TIMEOUT", "0"],
])("refuses %s=%s", async (name, value) => {
  await expect(read({ [name]: value })).rejects.toMatchObject({ code: "ERR_CONFIG" });
});
