// The optimizer's forms and writable copies over the native surface: what a run asks for, and what is refused.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  Engine,
  type LoadModelOptions,
  type Model,
  type NativeGroup,
  type NativeModel,
} from "../../lib/engine/index.js";
import { goldenPath, readTensors } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";

const DIRECTORY = goldenPath("qwen2_5_vl_a");
const GROUP: NativeGroup = {
  prompt: { tokens: Int32Array.of(1, 2, 3, 4), images: [] },
  completions: [Int32Array.of(5, 6), Int32Array.of(7)],
};
const SMALL = { train: "full", precision: "bf16", stochasticRounding: true, moments: "int8" } as const;

const folder = temporaryFolder();
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open({ device: "cpu", threads: 2 });
});
afterAll(() => engine.dispose());

const load = (options: LoadModelOptions = {}) => engine.loadModel(DIRECTORY, options);

async function train(model: Model, learningRate: Parameters<Model["step"]>[0]["learningRate"], seed = 0) {
  await model.accumulate({ groups: [GROUP], loss: { kind: "sft", totalTokens: 3 } });
  return model.step({ learningRate, seed, maxGradNorm: 0.5, weightDecay: 0.1 });
}

let saves = 0;
async function weights(model: Model): Promise<Map<string, number[]>> {
  const path = join(folder, `weights-${saves++}`);
  await model.save(path);
  const tensors = readTensors(join(path, "model.safetensors"));
  return new Map([...tensors].map(([name, { data }]) => [name, [...data]]));
}

const logProbs = async (model: Model) =>
  (await model.logProbs({ groups: [GROUP] })).flat().map((scores) => [...scores.logProbs]);

describe("a step", () => {
  it("says both norms, and which weights it left alone", async () => {
    const model = await load({ train: "full" });
    const result = await train(model, 1e-3);
    expect(result).toMatchObject({ skipped: false, nonFinite: [], nonFiniteWeights: [] });
    expect(result.gradNorm).toBeGreaterThan(0.5);
    expect(result.gradNormClipped).toBeCloseTo(0.5, 4);
    model.dispose();
  });

  it("has a rate for each part", async () => {
    const model = await load({ train: "full" });
    const before = await weights(model);
    await train(model, { vision: 0, merger: 0, language: 1e-3 });
    const after = await weights(model);
    for (const [name, values] of before) {
      const same = after.get(name)?.every((value, i) => Object.is(value, values[i]));
      expect(same, name).toBe(name.startsWith("visual."));
    }
    model.dispose();
  });

  it("leaves named weights out of the decay", async () => {
    const name = "model.layers.0.mlp.up_proj.weight";
    const [plain, excluded] = [await load({ train: "full" }), await load({ train: "full", noDecay: [name] })];
    for (const model of [plain, excluded]) await train(model, 1e-2);
    const [a, b] = [await weights(plain), await weights(excluded)];
    expect([...a.keys()].filter((key) => String(a.get(key)) !== String(b.get(key)))).toEqual([name]);
  });

  it("of bf16 weights without masters is decided by its seed", async () => {
    const models = await Promise.all([1, 1, 2].map(() => load(SMALL)));
    for (const [i, model] of models.entries()) await train(model, 1e-4, i < 2 ? 1 : 2);
    const [a, b, c] = await Promise.all(models.map(logProbs));
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
  });

  it("goes on from a saved state, bit for bit", async () => {
    const [straight, resumed] = [await load(SMALL), await load(SMALL)];
    await train(straight, 1e-3);
    await straight.save(join(folder, "state"), { what: "state" });
    await resumed.loadState(join(folder, "state"));
    for (const model of [straight, resumed]) await train(model, 1e-3, 3);
    expect(await weights(resumed)).toEqual(await weights(straight));
    const other = await load({ train: "full", precision: "bf16" });
    await expect(other.loadState(join(folder, "state"))).rejects.toMatchObject({
      code: "ERR_CHECKPOINT",
      message: expect.stringContaining('moments: expected "f32", got "int8"'),
    });
  });
});

describe("a writable copy", () => {
  it.each([
    ["f32", {}],
    ["bf16", {}],
    ["bf16", { stochasticRounding: true }],
  ] as const)("in %s becomes the policy with alpha 1, and follows it with less", async (precision, more) => {
    const policy = await load({ train: "full", precision, ...more });
    const copy = await load({ precision, writable: true });
    const start = await logProbs(copy);
    await train(policy, 1e-2);
    expect(await logProbs(copy)).toEqual(start);
    await copy.blend(policy, 0.5);
    const half = await logProbs(copy);
    await copy.save(join(folder, "copy"), { what: "state" });
    await copy.blend(policy, 1);
    expect(await logProbs(copy)).toEqual(await logProbs(policy));
    expect(half).not.toEqual(start);
    await copy.loadState(join(folder, "copy"));
    expect(await logProbs(copy)).toEqual(half);
    for (const model of [policy, copy]) model.dispose();
  });

  it("refuses what it cannot follow", async () => {
    const [policy, copy] = [await load({ train: "full" }), await load({ writable: true })];
    const elsewhere = await Engine.open({ device: "cpu", threads: 1 });
    try {
      const stranger = await elsewhere.loadModel(DIRECTORY);
      const refused = (message: RegExp) => ({ code: "ERR_ARGUMENT", message: expect.stringMatching(message) });
      await expect(copy.blend(stranger, 0.5)).rejects.toMatchObject(refused(/the same engine/));
      await expect(copy.blend(policy, 1.5)).rejects.toMatchObject(refused(/alpha.*from 0 to 1/));
      await expect(policy.blend(copy, 0.5)).rejects.toMatchObject(refused(/a writable model/));
      await expect(copy.blend(copy, 0.5)).rejects.toMatchObject(refused(/another model/));
    } finally {
      elsewhere.dispose();
    }
    policy.dispose();
    await expect(copy.blend(policy, 0.5)).rejects.toMatchObject({ code: "ERR_STATE" });
    copy.dispose();
  });
});

describe("loading refuses", () => {
  it.each<[string, LoadModelOptions, RegExp]>([
    ["stochastic rounding in f32", { train: "full", stochasticRounding: true }, /expected precision bf16/],
    ["stochastic rounding of nothing", { precision: "bf16", stochasticRounding: true }, /train full/],
    ["a trained copy", { train: "full", writable: true }, /writable: expected a model that is not trained/],
    ["names of nothing", { train: "full", noDecay: ["x"] }, /noDecay: no parameter is named x/],
    ["other moments", { moments: "int4" as "int8" }, /moments: expected one of "f32", "int8"/],
  ])("%s", async (_, options, message) => {
    await expect(load(options)).rejects.toMatchObject({
      code: "ERR_ARGUMENT",
      message: expect.stringMatching(message),
    });
  });
});

describe("the native surface", () => {
  it("blends models only", async () => {
    const native = (await load({ writable: true })) as unknown as {
      native: { blend: (...args: unknown[]) => unknown };
    };
    const blend = (source: unknown) => native.native.blend({ source, alpha: 1 }, new Int32Array(1));
    for (const source of [undefined, {}, 3, engine]) {
      await expect(blend(source)).rejects.toMatchObject({
        code: "ERR_ARGUMENT",
        message: expect.stringContaining("blend: source: expected a model"),
      });
    }
  });

  it("bears arguments that dispose the model while they are read", async () => {
    const [policy, copy] = [await load(), await load({ writable: true })];
    const nativeOf = (model: Model) => (model as unknown as { native: NativeModel }).native;
    const target = nativeOf(copy);
    const args = {
      source: nativeOf(policy),
      get alpha() {
        target.dispose();
        return 1;
      },
    };
    await expect(target.blend(args, new Int32Array(1))).rejects.toMatchObject({ code: "ERR_STATE" });
    for (const model of [policy, copy]) model.dispose();
  });
});
