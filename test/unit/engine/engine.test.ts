import { getEventListeners } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Engine } from "../../../lib/engine/index.js";
import type { NativeEngine } from "../../../lib/engine/native-types.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { PLAIN_LOAD } from "../../support/load.js";

const prompt = { tokens: Int32Array.of(1, 2), images: [] };

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("Engine.open", () => {
  it("takes CUDA where there is one, and the CPU otherwise", async () => {
    const without = fakeAddon();
    expect((await Engine.open({ addon: without })).device).toBe("cpu");
    const withCuda = fakeAddon({ cuda: { available: true, reason: "" } });
    expect((await Engine.open({ addon: withCuda })).device).toBe("cuda");
    expect((await Engine.open({ addon: withCuda, device: "cpu" })).device).toBe("cpu");
  });

  it("says why there is no CUDA device when one is demanded", async () => {
    const opening = Engine.open({ addon: fakeAddon(), device: "cuda" });
    await expect(opening).rejects.toMatchObject({
      code: "ERR_DEVICE",
      message: expect.stringContaining("built without CUDA"),
    });
  });

  it("reads threads and instruction set from the environment unless they are given", async () => {
    vi.stubEnv("VLMR1_THREADS", "3");
    vi.stubEnv("VLMR1_CPU_ISA", "baseline");
    const engine = await Engine.open({ addon: fakeAddon() });
    expect([engine.threads, engine.isa]).toEqual([3, "baseline"]);
    const other = await Engine.open({ addon: fakeAddon(), threads: 5, isa: "avx2" });
    expect([other.threads, other.isa]).toEqual([5, "avx2"]);
  });

  it.each(["many", "-1", "1.5"])("refuses VLMR1_THREADS=%s", async (text) => {
    vi.stubEnv("VLMR1_THREADS", text);
    await expect(Engine.open({ addon: fakeAddon() })).rejects.toMatchObject({ code: "ERR_CONFIG" });
  });
});

describe("Engine.stopProfile", () => {
  it("tells times by JavaScript's clock, also where the thread is held up between two readings", async () => {
    const addon = fakeAddon();
    const ahead = 7e9;
    class HeldUp extends addon.Engine {
      private readings = 0;
      override clock = () => {
        const now = 1000 * performance.now();
        this.readings += 1;
        const until = performance.now() + (this.readings % 3 === 1 ? 60 : 0);
        while (performance.now() < until);
        return now + ahead;
      };
      override stopProfile: NativeEngine["stopProfile"] = async () => {
        const one = Float64Array.of(1);
        const columns = { duration: one, flops: one, bytes: one, name: Int32Array.of(0), detail: Int32Array.of(0) };
        return { names: ["a"], details: [""], ...columns, start: Float64Array.of(5e6 + ahead), dropped: 0 };
      };
    }
    const engine = await Engine.open({ addon: { ...addon, Engine: HeldUp } });
    const { start } = await engine.stopProfile();
    expect(Math.abs((start[0] as number) - 5e6)).toBeLessThan(10_000);
  });
});

describe("Engine.describeModel", () => {
  it("names the parameters that a configuration describes", async () => {
    const engine = await Engine.open({ addon: fakeAddon() });
    const { parameters } = engine.describeModel("{}");
    expect(parameters.find(({ name }) => name === "visual.merger.mlp.2.weight")).toEqual({
      name: "visual.merger.mlp.2.weight",
      runtimeName: "model.visual.merger.mlp.2.weight",
      shape: [48, 96],
      part: "merger",
      linear: true,
    });
  });

  it("wraps what the addon throws", async () => {
    const error = Object.assign(new Error("model_type: expected …"), { code: "ERR_CONFIG" });
    const engine = await Engine.open({ addon: fakeAddon({ fails: { verb: "describeModel", error } }) });
    expect(() => engine.describeModel("{}")).toThrow(
      expect.objectContaining({ name: "VlmR1Error", code: "ERR_CONFIG", message: "model_type: expected …" }),
    );
  });
});

describe("a call's signal", () => {
  it("raises the native flag, rejects with the signal's reason, and leaves no listener", async () => {
    const engine = await Engine.open({ addon: fakeAddon({ hangs: "generate" }) });
    const model = await engine.loadModel("dir");
    const controller = new AbortController();
    const running = model.generate({ prompts: [prompt], signal: controller.signal });
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  it("rejects before the native call when it is aborted already", async () => {
    const addon = fakeAddon();
    const model = await (await Engine.open({ addon })).loadModel("dir");
    await expect(model.zeroGradients({ signal: AbortSignal.abort("no") })).rejects.toBe("no");
    expect(addon.calls.map(({ verb }) => verb)).not.toContain("zeroGradients");
  });

  it("leaves no listener after a success or a failure", async () => {
    const failure = Object.assign(new Error("step: bad learning rate"), { code: "ERR_ARGUMENT" });
    const engine = await Engine.open({ addon: fakeAddon({ fails: { verb: "step", error: failure } }) });
    const { signal } = new AbortController();
    const model = await engine.loadModel("dir", { signal });
    await expect(model.step({ learningRate: 1, signal })).rejects.toMatchObject({
      name: "VlmR1Error",
      code: "ERR_ARGUMENT",
      message: "step: bad learning rate",
    });
    await model.save("out", { signal });
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  it("gives out-of-memory errors a hint", async () => {
    const failure = Object.assign(new Error("needs 9 GB"), { code: "ERR_OUT_OF_MEMORY" });
    const engine = await Engine.open({ addon: fakeAddon({ fails: { verb: "loadModel", error: failure } }) });
    const loading = engine.loadModel("dir");
    await expect(loading).rejects.toMatchObject({
      hint: expect.stringMatching(/num_generations.*vlmr1-native estimate/),
    });
  });
});

describe("Model", () => {
  it("fills in defaults and hands over only what the addon knows", async () => {
    const addon = fakeAddon();
    const model = await (await Engine.open({ addon })).loadModel("dir");
    const withExtras = { ...prompt, text: "rendered", pictures: [] };
    await model.generate({ prompts: [withExtras], sampling: { temperature: 0, stopTokens: [7] } });
    const group = { prompt: withExtras, completions: [Int32Array.of(3)] };
    await model.logProbs({ groups: [group], adapter: "off" });
    await model.accumulate({ groups: [group], loss: { kind: "sft", totalTokens: 1 } });
    await model.step({ learningRate: 0.5 });
    await model.save("out", { what: "gradients" });
    const args = Object.fromEntries(addon.calls.map((call) => [call.verb, call.args]));
    expect(args.loadModel).toEqual({
      ...PLAIN_LOAD,
      directory: "dir",
    });
    expect(args.generate).toEqual({
      prompts: [prompt],
      n: 1,
      seed: 0,
      firstRow: 0,
      adapter: "on",
      maxRows: 0,
      sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, maxNewTokens: 256, stopTokens: [7] },
    });
    const groups = [{ prompt, completions: [Int32Array.of(3)] }];
    expect(args.logProbs).toEqual({ groups, temperature: 1, adapter: "off" });
    expect(args.accumulate).toEqual({ groups, loss: { kind: "sft", totalTokens: 1 }, dropoutSeed: 0 });
    expect(args.step).toMatchObject({
      learningRate: { vision: 0.5, merger: 0.5, language: 0.5 },
      beta1: 0.9,
      beta2: 0.999,
      maxGradNorm: Number.POSITIVE_INFINITY,
    });
    expect(args.save).toMatchObject({ path: "out", what: "gradients", dtype: "f32" });
  });

  it("throws what a progress callback threw, and stops the generation", async () => {
    const addon = fakeAddon();
    const model = await (await Engine.open({ addon })).loadModel("dir");
    const bad = new Error("from the callback");
    const running = model.generate({
      prompts: [prompt],
      onProgress: () => {
        throw bad;
      },
    });
    await expect(running).rejects.toBe(bad);
    expect(addon.flags.at(-1)?.[0]).toBe(1);
  });

  it("refuses every verb after dispose, and may be disposed twice", async () => {
    const addon = fakeAddon();
    const model = await (await Engine.open({ addon })).loadModel("some/dir");
    model[Symbol.dispose]();
    model.dispose();
    expect(addon.calls.filter(({ verb }) => verb === "model.dispose")).toHaveLength(1);
    const gone = { code: "ERR_STATE", message: expect.stringContaining("some/dir") };
    await expect(model.generate({ prompts: [] })).rejects.toMatchObject(gone);
    await expect(model.logProbs({ groups: [] })).rejects.toMatchObject(gone);
    await expect(model.step({ learningRate: 1 })).rejects.toMatchObject(gone);
    await expect(model.save("x")).rejects.toMatchObject(gone);
    expect(() => model.info()).toThrow(expect.objectContaining({ code: "ERR_STATE" }));
  });

  it("is disposed with its engine", async () => {
    const engine = await Engine.open({ addon: fakeAddon() });
    const model = await engine.loadModel("dir");
    engine.dispose();
    engine.dispose();
    expect(model.disposed).toBe(true);
    await expect(engine.loadModel("dir")).rejects.toMatchObject({ code: "ERR_STATE" });
    expect(() => engine.memory()).toThrow(expect.objectContaining({ code: "ERR_STATE" }));
  });
});
