import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { moduleOf } from "../../../lib/adapters/patterns.js";
import { ownEnds, targetModules } from "../../../lib/adapters/target-modules.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { tinyParameters } from "../../support/tiny-parameters.js";

const parameters = tinyParameters();
const { info } = new (fakeAddon().Engine)({ device: "cpu", threads: 1, isa: "" }).describeModel({ config: "{}" });
const model = { info, parameters };
const linear = parameters.filter((one) => one.linear).map(({ runtimeName }) => moduleOf(runtimeName));
const language = linear.filter((name) => name.includes("language_model"));
/** As named_modules() lists them: containers, norms and the patch embedding too. */
const everyModule = new Set(
  parameters.flatMap(({ runtimeName }) => {
    const parts = runtimeName.split(".").slice(0, -1);
    return parts.map((_, index) => parts.slice(0, index + 1).join("."));
  }),
);
/** What PEFT adapts for a list. */
const adapted = (entries: string[]) =>
  [...everyModule].filter((name) => entries.some((entry) => name === entry || name.endsWith(`.${entry}`)));

describe("target_modules", () => {
  it("are short where a name is the language model's alone", () => {
    const attention = language.filter((name) => name.includes("self_attn"));
    expect(targetModules(attention, model)).toEqual(["q_proj", "k_proj", "v_proj", "o_proj"]);
  });

  it("tell the language model's layers from the vision tower's", () => {
    const entries = targetModules(language, model);
    expect(entries).toContain("layers.0.mlp.gate_proj");
    expect(adapted(entries).sort()).toEqual([...language].sort());
  });

  it("never say what containers and the patch embedding are called too", () => {
    const vision = linear.filter((name) => name.includes("visual"));
    const entries = targetModules(vision, model);
    expect(entries).toContain("attn.proj");
    expect(entries).toContain("mlp.0");
    expect(entries).not.toContain("proj");
    expect(adapted(entries).sort()).toEqual([...vision].sort());
  });

  it("name exactly the modules that were asked for, whichever they are", () => {
    fc.assert(
      fc.property(fc.subarray(linear, { minLength: 1 }), (some) => {
        expect(adapted(targetModules(some, model)).sort()).toEqual([...some].sort());
      }),
    );
  });
});

describe("own ends", () => {
  it("name one module each", () => {
    for (const [name, end] of ownEnds(linear, model)) expect(adapted([end])).toEqual([name]);
    expect(ownEnds(["model.language_model.layers.1.self_attn.q_proj"], model)).toEqual(
      new Map([["model.language_model.layers.1.self_attn.q_proj", "1.self_attn.q_proj"]]),
    );
  });
});
