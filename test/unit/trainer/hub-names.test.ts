import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { resolveModelSource } from "../../../lib/adapters/index.js";
import type { LoadModelArgs } from "../../../lib/engine/index.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { filesIn, modelFiles, TestCache } from "../../support/hub-cache.js";
import { HubServer } from "../../support/hub-server.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, MODEL, runAll } from "../../support/training.js";

const files = modelFiles(MODEL);
const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);

let hub: HubServer;
let cache: TestCache;

beforeAll(async () => {
  hub = await HubServer.start();
});
beforeEach(() => {
  cache = new TestCache(hub);
  vi.stubEnv("HF_HUB_CACHE", cache.folder);
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_HUB_OFFLINE", undefined);
});
afterEach(() => {
  hub.reset();
  vi.unstubAllEnvs();
});

const adapterFiles = (config: Record<string, unknown> = {}) => {
  const Q1 = "model.language_model.layers.1.self_attn.q_proj";
  return filesIn(writeAdapter(join(folder, `adapter-${runs++}`), pair(Q1, 48, 48, 4), config));
};
const config = (outputDir: string) =>
  parse(readFileSync(join(outputDir, "config.yaml"), "utf8")) as Record<string, unknown>;
const asked = (what: string) => hub.asked.filter(({ path }) => path.includes(what));

describe("a run with a model from the hub", () => {
  it("keeps the commit that it began with when the branch moves", async () => {
    const first = hub.commit("org/moving", files);
    const outputDir = newRun();
    const engine = await banditEngine();
    const trainer = banditRun(engine, outputDir, { lrSchedulerType: "constant", model: "org/moving", maxSteps: 2 });
    await runAll(trainer);
    await trainer.save(join(folder, "saved"));
    await trainer.dispose();
    expect(readFileSync(join(folder, "saved", "tokenizer.json"))).toEqual(files["tokenizer.json"]);
    expect(config(outputDir)).toMatchObject({ model: "org/moving", revision: first });

    hub.commit("org/moving", { ...files, "tokenizer.json": "[]" });
    hub.reset();
    const resumed = banditRun(engine, outputDir, {
      lrSchedulerType: "constant",
      model: "org/moving",
      maxSteps: 3,
      resume: true,
    });
    expect(await runAll(resumed)).toHaveLength(1);
    expect(asked("/revision/")).toEqual([]);

    const messages: string[] = [];
    const reporters = [{ onWarning: (message: string) => void messages.push(message) }];
    const other = banditRun(engine, outputDir, {
      lrSchedulerType: "constant",
      model: "org/moving@main",
      maxSteps: 4,
      resume: true,
      reporters,
    });
    expect(await runAll(other)).toHaveLength(1);
    expect(messages).toEqual([expect.stringContaining(`goes on with commit ${first} of org/moving`)]);
  });

  it("tells reporters how far the model is", async () => {
    hub.commit("org/tiny", files);
    const seen: number[] = [];
    const onDownload = (progress: { bytes: number; totalBytes: number }) =>
      void seen.push(progress.bytes / progress.totalBytes);
    const options = { model: "org/tiny", maxSteps: 1, reporters: [{ onDownload }] };
    await runAll(banditRun(await banditEngine(), newRun(), options));
    expect(seen[0]).toBe(0);
    expect(seen.at(-1)).toBe(1);
  });

  it("writes the name and the commit into its adapter, where PEFT looks for them", async () => {
    const commit = hub.commit("org/tiny", files);
    const outputDir = newRun();
    await runAll(banditRun(await banditEngine(), outputDir, { model: "org/tiny", usePeft: true, maxSteps: 1 }));
    const path = checkpointFile(outputDir, 1, "adapter/adapter_config.json");
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
      base_model_name_or_path: "org/tiny",
      revision: commit,
    });
  });

  it("goes on with the commit of its adapter too", async () => {
    hub.commit("org/tiny", files);
    const first = hub.commit("org/adapter", adapterFiles());
    const loaded: LoadModelArgs[] = [];
    const engine = await banditEngine({ onLoad: (args) => loaded.push(args) });
    const outputDir = newRun();
    const options = { model: "org/tiny", adapter: "org/adapter" };
    await runAll(banditRun(engine, outputDir, { ...options, maxSteps: 1 }));
    expect(config(outputDir)).toMatchObject({ model: "org/tiny", adapter: `org/adapter@${first}` });
    hub.commit("org/adapter", { ...adapterFiles(), "README.md": "new" });
    await runAll(banditRun(engine, outputDir, { ...options, maxSteps: 2, resume: true }));
    expect(loaded.map(({ lora }) => lora?.weights)).toEqual(
      Array(2).fill(cache.path("org/adapter", "snapshots", first, "adapter_model.safetensors")),
    );
  });
});

describe("names of models and adapters", () => {
  it("lead from an adapter on the hub to its base there, at a revision", async () => {
    const base = hub.commit("org/base", files, "v1");
    hub.commit("org/base", { ...files, "config.json": "{}" });
    const adapter = hub.commit("org/adapter", adapterFiles({ base_model_name_or_path: "org/base", revision: "v1" }));
    expect(await resolveModelSource({ model: "org/adapter" })).toEqual({
      directory: cache.path("org/base", "snapshots", base),
      adapter: cache.path("org/adapter", "snapshots", adapter),
      names: { model: "org/base", revision: base, adapter: `org/adapter@${adapter}` },
    });
  });

  it("need no revision of a base in a folder", async () => {
    const model = writeAdapter(join(folder, "local"), pair("model.layers.1.self_attn.q_proj", 48, 48, 4), {
      base_model_name_or_path: MODEL,
      revision: "main",
    });
    expect(await resolveModelSource({ model })).toEqual({
      directory: MODEL,
      adapter: model,
      names: { model: MODEL, revision: undefined, adapter: model },
    });
  });

  it("do not hide why a base cannot be read", async () => {
    hub.commit("org/gated", files, "main", { gated: "hf_right" });
    hub.commit("org/adapter", adapterFiles({ base_model_name_or_path: "org/gated" }));
    await expect(resolveModelSource({ model: "org/adapter" })).rejects.toMatchObject({ code: "ERR_ACCESS" });
  });

  it("are left alone where they name a folder of the cache", async () => {
    hub.commit("org/tiny", files);
    const model = await cache.fetch("org/tiny");
    expect((await resolveModelSource({ model })).names).toEqual({ model, revision: undefined, adapter: undefined });
  });
});
