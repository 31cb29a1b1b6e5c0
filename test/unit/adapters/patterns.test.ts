import { describe, expect, it } from "vitest";
import { matchModules, matchParameters } from "../../../lib/adapters/patterns.js";
import { tinyParameters } from "../../support/tiny-parameters.js";

const parameters = tinyParameters();
const linear = parameters.filter((one) => one.linear);
const modules = (...patterns: string[]) =>
  matchModules(linear, patterns, "lora_target_modules").map(({ name }) => name.replace(/\.weight$/, ""));
const matched = (...patterns: string[]) =>
  matchParameters(parameters, patterns, "freeze_patterns").map(({ name }) => name);

describe("patterns of linear layers", () => {
  it("are ends of names at a dot", () => {
    expect(modules("q_proj")).toEqual(["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"]);
    expect(modules("1.self_attn.q_proj")).toEqual(["model.layers.1.self_attn.q_proj"]);
    expect(modules("attn.proj")).toEqual(["visual.blocks.0.attn.proj", "visual.blocks.1.attn.proj"]);
    // The vision tower has layers of these names too, as PEFT would find.
    expect(modules("up_proj")).toHaveLength(4);
  });

  it("know both names of a layer", () => {
    const published = modules("model.layers.0.mlp.up_proj");
    expect(published).toEqual(["model.layers.0.mlp.up_proj"]);
    expect(modules("model.language_model.layers.0.mlp.up_proj")).toEqual(published);
    expect(modules("layers.0.mlp.up_proj")).toEqual(published);
  });

  it("come in the model's order, once each, whatever the order of the patterns", () => {
    expect(modules("v_proj", "q_proj", "1.self_attn.q_proj")).toEqual([
      "model.layers.0.self_attn.q_proj",
      "model.layers.0.self_attn.v_proj",
      "model.layers.1.self_attn.q_proj",
      "model.layers.1.self_attn.v_proj",
    ]);
  });

  it("are regular expressions for the whole name where they are no names", () => {
    expect(modules(".*\\.1\\..*\\.(q|v)_proj")).toEqual([
      "model.layers.1.self_attn.q_proj",
      "model.layers.1.self_attn.v_proj",
    ]);
    expect(modules("(?!.*visual).*mlp\\.(gate|up|down)_proj")).toHaveLength(6);
    expect(() => modules("layers.*q_proj")).toThrow(/matches no linear layer/);
  });

  it.each(["Q_PROJ", "proj_q", "_proj", "q_proj.weight"])("%s matches nothing, and says what would", (pattern) => {
    expect(() => modules("q_proj", pattern)).toThrow(
      expect.objectContaining({
        code: "ERR_CONFIG",
        message: `lora_target_modules: "${pattern}" matches no linear layer of the model`,
        hint: expect.stringMatching(/visual\.blocks\.0\.attn\.qkv.*model\.layers\.0/),
      }),
    );
  });

  it.each(["(q|v", "*proj", "[a-"])("%s is no regular expression", (pattern) => {
    expect(() => modules(pattern)).toThrow(
      expect.objectContaining({ code: "ERR_CONFIG", message: expect.stringContaining(`"${pattern}"`) }),
    );
  });
});

describe("patterns of parameters", () => {
  it("name a parameter, or a module with all that is in it", () => {
    expect(matched("norm.weight")).toEqual(["model.norm.weight"]);
    expect(matched("merger.mlp.0")).toEqual(["visual.merger.mlp.0.weight", "visual.merger.mlp.0.bias"]);
    expect(matched("visual")).toEqual(parameters.flatMap(({ name, part }) => (part === "language" ? [] : [name])));
    expect(matched("layers.1")).toHaveLength(12);
    expect(matched("language_model", "visual")).toHaveLength(parameters.length);
  });

  it("match whole names as regular expressions", () => {
    expect(matched("model\\.layers\\.[01]\\.input_layernorm\\.weight")).toHaveLength(2);
    expect(() => matched("layers\\.[01]\\.input_layernorm\\.weight")).toThrow(/matches no parameter/);
    expect(matched(".*bias").every((name) => name.endsWith(".bias"))).toBe(true);
  });
});
