import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AdapterSpec, adapterModule, loraArgs, rankRange } from "../../../lib/adapters/adapter.js";
import { moduleOf } from "../../../lib/adapters/patterns.js";
import { readAdapter } from "../../../lib/adapters/read-adapter.js";
import { peftConfig } from "../../../lib/adapters/write-adapter.js";
import { pair, writeAdapter, writeZeros } from "../../support/adapter-folder.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { temporaryFolder } from "../../support/temporary.js";
import { tinyParameters } from "../../support/tiny-parameters.js";

const parameters = tinyParameters();
const { info } = new (fakeAddon().Engine)({ device: "cpu", threads: 1, isa: "" }).describeModel({ config: "{}" });
const model = { info, parameters };
const linear = parameters.filter((one) => one.linear);
const Q0 = "model.language_model.layers.0.self_attn.q_proj";
const UP1 = "model.language_model.layers.1.mlp.up_proj";
const read = (shapes: Record<string, readonly number[]>, config?: Record<string, unknown>) =>
  readAdapter(writeAdapter(temporaryFolder(), shapes, config), model);
const wrong = (message: string) => ({ code: "ERR_MODEL", message: expect.stringContaining(message) });

describe("an adapter's folder", () => {
  it("says which layers it adapts, in the model's order, with the ranks of its matrices", async () => {
    const folder = temporaryFolder();
    const shapes = { ...pair(UP1, 68, 48, 4), ...pair(Q0, 48, 48, 4) };
    const { spec, weights } = await readAdapter(writeAdapter(folder, shapes), model);
    expect(weights).toBe(join(folder, "adapter_model.safetensors"));
    expect(spec).toEqual({
      modules: [
        { name: "model.layers.0.self_attn.q_proj", runtimeName: Q0, rank: 4, alpha: 8 },
        { name: "model.layers.1.mlp.up_proj", runtimeName: UP1, rank: 4, alpha: 8 },
      ],
      useRslora: false,
      dropout: 0.05,
    });
  });

  it.each([
    ["published names", "model.layers.0.self_attn.q_proj"],
    ["published names of the vision tower", "visual.blocks.1.attn.qkv"],
    ["names in memory of the merger", "model.visual.merger.mlp.2"],
  ])("may use %s", async (_, module) => {
    const [out, width] = linear.find((one) => [one.name, one.runtimeName].includes(`${module}.weight`))?.shape ?? [];
    const { spec } = await read(pair(module, out as number, width as number, 4));
    expect(spec.modules.map(({ name, runtimeName }) => [name, runtimeName].includes(module))).toEqual([true]);
  });

  it("may have the name of the adapter in its keys", async () => {
    const key = `base_model.model.${Q0}`;
    const { spec } = await read({
      [`${key}.lora_A.default.weight`]: [4, 48],
      [`${key}.lora_B.default.weight`]: [48, 4],
    });
    expect(spec.modules).toHaveLength(1);
  });

  it("has patterns of rank and alpha as regular expressions for the end of names, the first that matches", async () => {
    const shapes = { ...pair(Q0, 48, 48, 2), ...pair(UP1, 68, 48, 4) };
    const rank_pattern = { "self_attn.q_proj": 2, ".*": 4 };
    const { spec } = await read(shapes, { rank_pattern, alpha_pattern: { "1\\.mlp\\.(up|down)_proj": 3 } });
    expect(spec.modules.map(({ rank, alpha }) => [rank, alpha])).toEqual([
      [2, 8],
      [4, 3],
    ]);
    expect(rankRange(spec)).toEqual([2, 4]);
    // A pattern has to begin at a part of the name.
    expect((await read(pair(Q0, 48, 48, 4), { alpha_pattern: { proj: 3 } })).spec.modules[0]?.alpha).toBe(8);
  });

  it("scales by alpha / rank, or by alpha / √rank", () => {
    const layer = linear[0] as (typeof linear)[number];
    const spec: AdapterSpec = { modules: [adapterModule(layer, 4, 8)], useRslora: false, dropout: 0.1 };
    const name = moduleOf(layer.name);
    const weights = { weights: "w", seed: 3, keepStart: true };
    expect(loraArgs(spec, weights)).toEqual({ modules: [{ name, rank: 4, scale: 2 }], dropout: 0.1, ...weights });
    expect(loraArgs({ ...spec, useRslora: true }, weights).modules).toEqual([{ name, rank: 4, scale: 4 }]);
  });

  it.each([
    ["use_dora", true],
    ["lora_bias", true],
    ["bias", "lora_only"],
    ["fan_in_fan_out", true],
    ["modules_to_save", ["lm_head"]],
    ["layer_replication", [[0, 2]]],
    ["trainable_token_indices", [1]],
    ["target_parameters", ["experts.gate"]],
    ["init_lora_weights", "pissa_niter_4"],
    ["something_new", 3],
    ["peft_type", "IA3"],
    ["lora_dropout", 1],
    ["r", 0],
  ])("is refused with %s %j", async (field, value) => {
    const reading = read(pair(Q0, 48, 48, 4), { [field]: value });
    await expect(reading).rejects.toMatchObject({
      ...wrong(`: ${field}: `),
      hint: expect.stringContaining("Supported"),
    });
  });

  it.each<[string, Record<string, readonly number[]>, Record<string, unknown>, string]>([
    ["layers that the model has not", pair("model.layers.7.mlp.up_proj", 68, 48, 4), {}, "model.layers.7.mlp.up_proj"],
    ["a layer that is not linear", pair("model.visual.patch_embed.proj", 24, 1176, 4), {}, "visual.patch_embed.proj"],
    ["another width", pair(Q0, 48, 50, 4), {}, `${Q0}: expected lora_A [rank, 48], got [4, 50]`],
    ["another height", pair(Q0, 50, 48, 4), {}, `${Q0}: expected lora_B [48, 4], got [50, 4]`],
    ["half a pair", { [`base_model.model.${Q0}.lora_A.weight`]: [4, 48] }, {}, `${Q0}: lora_B is missing`],
    ["a rank that its configuration has not", pair(Q0, 48, 48, 4), { r: 8 }, "says rank 8"],
    [
      "both names of a layer",
      { ...pair(Q0, 48, 48, 4), ...pair(Q0.replace(".language_model", ""), 48, 48, 4) },
      {},
      "the same layer",
    ],
    [
      "tensors of other methods",
      { ...pair(Q0, 48, 48, 4), [`base_model.model.${Q0}.lora_magnitude_vector`]: [48] },
      {},
      "lora_magnitude_vector",
    ],
    ["nothing", {}, {}, "not a single tensor"],
  ])("is refused with %s", async (_, shapes, config, message) => {
    await expect(read(shapes, config)).rejects.toMatchObject(wrong(message));
  });

  it("is refused where a file is torn or missing", async () => {
    const folder = writeAdapter(temporaryFolder(), pair(Q0, 48, 48, 4));
    const weights = join(folder, "adapter_model.safetensors");
    const whole = readFileSync(weights);
    for (const length of [0, 7, 20]) {
      writeFileSync(weights, whole.subarray(0, length));
      await expect(readAdapter(folder, model)).rejects.toMatchObject({ code: "ERR_CHECKPOINT" });
    }
    writeFileSync(join(folder, "adapter_config.json"), "{");
    await expect(readAdapter(folder, model)).rejects.toMatchObject(wrong("not valid JSON"));
    await expect(readAdapter(temporaryFolder(), model)).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      hint: "Only folders in PEFT's format are adapters.",
    });
    const torn = writeAdapter(temporaryFolder(), pair(Q0, 48, 48, 4));
    const file = join(torn, "adapter_model.safetensors");
    writeFileSync(file, "");
    await expect(readAdapter(torn, model)).rejects.toMatchObject({
      message: `${file}: not a whole safetensors file: it has 0 bytes`,
      hint: "Copy or fetch the file again.",
    });
    rmSync(file);
    await expect(readAdapter(torn, model)).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      hint: expect.stringContaining("adapter_model.safetensors"),
    });
  });
});

describe("a written configuration", () => {
  const layer = fc.record({
    rank: fc.integer({ min: 1, max: 9 }),
    alpha: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.constant(0.5)),
  });
  const specs = fc
    .record({
      layers: fc.subarray(linear, { minLength: 1 }),
      values: fc.array(layer, { minLength: linear.length, maxLength: linear.length }),
      useRslora: fc.boolean(),
      dropout: fc.constantFrom(0, 0.05),
    })
    .map(({ layers, values, ...rest }): AdapterSpec => {
      const modules = layers.map((one, i) => adapterModule(one, values[i]?.rank ?? 1, values[i]?.alpha ?? 1));
      return { modules, ...rest };
    });

  it("reads back as what was written, whatever the ranks and scales", async () => {
    const folder = temporaryFolder();
    await fc.assert(
      fc.asyncProperty(specs, async (spec) => {
        const config = peftConfig({ spec, description: model, baseModel: "/base" });
        const shapes = spec.modules.map(({ runtimeName, rank }) => {
          const [out, width] = linear.find((one) => moduleOf(one.runtimeName) === runtimeName)?.shape ?? [];
          return pair(runtimeName, out as number, width as number, rank);
        });
        writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
        writeZeros(join(folder, "adapter_model.safetensors"), Object.assign({}, ...shapes));
        expect((await readAdapter(folder, model)).spec).toEqual(spec);
      }),
      { numRuns: 60 },
    );
  });

  it("has patterns only where layers differ", () => {
    const [first, second, third] = linear.filter(({ part }) => part === "language");
    const modules = [adapterModule(first!, 8, 16), adapterModule(second!, 8, 16), adapterModule(third!, 4, 16)];
    const spec = { modules, useRslora: true, dropout: 0 };
    expect(peftConfig({ spec, description: model, baseModel: "/base" })).toMatchObject({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: "/base",
      r: 8,
      lora_alpha: 16,
      use_rslora: true,
      rank_pattern: { "0\\.self_attn\\.v_proj": 4 },
      alpha_pattern: {},
      target_modules: ["0.self_attn.q_proj", "0.self_attn.k_proj", "0.self_attn.v_proj"],
    });
  });
});
