import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { jsonLines } from "../support/cli.js";
import { goldenPath } from "../support/golden.js";
import { modelFiles } from "../support/hub-cache.js";
import { HubServer } from "../support/hub-server.js";
import { temporaryFolder } from "../support/temporary.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const MODEL = goldenPath("qwen2_5_vl_a");
const WEIGHTS = "model.safetensors";

let hub: HubServer;
let commit: string;

beforeAll(async () => {
  if (!existsSync(MAIN)) throw new Error("dist/ is missing: run `npm run build` first");
  hub = await HubServer.start();
  commit = hub.commit("org/tiny", { ...modelFiles(MODEL), "README.md": "read me" });
});
afterEach(() => hub.reset());

/** Starts the command line with a cache of its own; a child process, because a hub in this one must answer. */
function start(home: string, ...args: string[]) {
  const env = { ...process.env, HF_HOME: home, HF_ENDPOINT: hub.url, VLMR1_THREADS: "1" };
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const result = { code: null as number | null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    result.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    result.stderr += text;
  });
  const done = new Promise<typeof result>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...result, code }));
  });
  return { child, done };
}

const GENERATE = ["--prompt", "2 + 2?", "--temperature", "0", "--max-new-tokens", "5", "--json"];

describe("the command line", () => {
  it("fetches a model by its name and answers as from its folder, then without asking for files", async () => {
    const home = temporaryFolder();
    const local = await start(home, "generate", "--model", MODEL, ...GENERATE).done;
    const first = await start(home, "generate", "--model", "org/tiny", ...GENERATE).done;
    expect(first).toMatchObject({ code: 0, stdout: local.stdout });
    expect(first.stderr).toMatch(/^fetching org\/tiny: 7 files, 46\d\.\d kB\nfetched org\/tiny in \d+ s\n$/);
    hub.reset();
    const second = await start(home, "generate", "--model", `org/tiny@${commit}`, ...GENERATE).done;
    expect(second).toMatchObject({ code: 0, stdout: local.stdout, stderr: "" });
    expect(hub.asked.filter(({ path }) => path.includes("/resolve/"))).toEqual([]);
  });

  it("goes on after Ctrl-C where it was", async () => {
    const home = temporaryFolder();
    const folder = join(home, "hub", "models--org--tiny", "blobs");
    hub.fail(WEIGHTS, { stallAfter: 300_000 });
    const { child, done } = start(home, "generate", "--model", "org/tiny", ...GENERATE);
    const partial = () => readdirSync(folder).find((name) => name.endsWith(".incomplete")) ?? "none yet";
    await vi.waitFor(() => expect(readFileSync(join(folder, partial()))).toHaveLength(300_000), 20_000);
    child.kill("SIGINT");
    expect(await done).toMatchObject({ code: 130, stdout: "" });
    expect((await start(home, "generate", "--model", "org/tiny", ...GENERATE).done).code).toBe(0);
    expect(hub.asked.filter(({ host }) => host === "cdn").at(-1)?.range).toBe("bytes=300000-");
  });

  it("goes on after a kill where it was", async () => {
    const home = temporaryFolder();
    const folder = join(home, "hub", "models--org--tiny", "blobs");
    hub.fail(WEIGHTS, { stallAfter: 300_000 });
    const { child, done } = start(home, "generate", "--model", "org/tiny", ...GENERATE);
    const partial = () => readdirSync(folder).find((name) => name.endsWith(".incomplete")) ?? "none yet";
    await vi.waitFor(() => expect(readFileSync(join(folder, partial()))).toHaveLength(300_000), 20_000);
    child.kill("SIGKILL");
    await done;
    expect((await start(home, "generate", "--model", "org/tiny", ...GENERATE).done).code).toBe(0);
    expect(hub.asked.filter(({ host }) => host === "cdn").at(-1)?.range).toBe("bytes=300000-");
  });

  it("holds when several processes start together", async () => {
    const home = temporaryFolder();
    const runs = [1, 2, 3].map(() => start(home, "generate", "--model", "org/tiny", ...GENERATE).done);
    const results = await Promise.all(runs);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(new Set(results.map(({ stdout }) => stdout)).size).toBe(1);
    const blobs = readdirSync(join(home, "hub", "models--org--tiny", "blobs"));
    expect(blobs.filter((name) => name.includes("incomplete"))).toEqual([]);
  });

  it("takes a tokenizer by name without the weights", async () => {
    const home = temporaryFolder();
    const out = join(home, "new");
    const args = ["--config", join(MODEL, "config.json"), "--tokenizer", "org/tiny", "--out", out, "--json"];
    const { code, stdout } = await start(home, "init-model", ...args).done;
    expect(code).toBe(0);
    expect(jsonLines(stdout)[0]).toMatchObject({ directory: out });
    expect(readFileSync(join(out, "tokenizer.json"))).toEqual(readFileSync(join(MODEL, "tokenizer.json")));
    expect(hub.deliveries(WEIGHTS)).toEqual([]);
  });

  it("says what a model can be", async () => {
    const home = temporaryFolder();
    const { code, stderr } = await start(home, "generate", "--model", "nowhere", ...GENERATE).done;
    expect(code).toBe(1);
    expect(stderr).toContain('error [ERR_NOT_FOUND] there is no folder "nowhere"');
    expect(stderr).toContain("hint: A model is a Hugging Face folder");
  });
});
