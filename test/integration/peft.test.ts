import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { describeFolder, loraArgs, readAdapter, saveAdapterFolder } from "../../lib/adapters/index.js";
import { Engine } from "../../lib/engine/index.js";
import { jsonLines, runCli } from "../support/cli.js";
import { goldenJson, goldenPath, maxDifference, readTensors } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";

/** An adapter that PEFT made: on vision tower, merger and language model, with patterns and rank-stabilized scales. */
const ADAPTER = goldenPath("qwen2_5_vl_a_lora");
const MODEL = goldenPath("qwen2_5_vl_a");
const golden = goldenJson<{ rows: { id: string; token_ids: number[]; logprobs: number[] }[] }>(
  "qwen2_5_vl_a_lora/scores.json",
).rows;
const folder = temporaryFolder();

async function scores(...args: string[]) {
  const data = ["--data", goldenPath("conversations.json"), "--json"];
  const { code, stdout, stderr } = await runCli(["score", ...args, ...data]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return jsonLines(stdout) as typeof golden;
}

function worstOf(rows: typeof golden): number {
  expect(rows.map(({ id, token_ids: ids }) => [id, ids])).toEqual(golden.map(({ id, token_ids: ids }) => [id, ids]));
  return Math.max(...rows.map(({ logprobs }, i) => maxDifference(logprobs, golden[i]?.logprobs ?? [])));
}

/** The adapter with other keys in its file; patterns of ranks and alphas match the ends of names and stay. */
function copyRenamed(to: string, rename: (key: string) => string): void {
  mkdirSync(to);
  copyFileSync(join(ADAPTER, "adapter_config.json"), join(to, "adapter_config.json"));
  const bytes = readFileSync(join(ADAPTER, "adapter_model.safetensors"));
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, unknown>;
  const renamed = Object.entries(header).map(([key, entry]) => [key === "__metadata__" ? key : rename(key), entry]);
  const text = Buffer.from(JSON.stringify(Object.fromEntries(renamed)));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(join(to, "adapter_model.safetensors"), Buffer.concat([start, text, bytes.subarray(8 + length)]));
}

describe("PEFT's adapter", () => {
  it("gives PEFT's log-probabilities, which the model alone does not", async () => {
    expect(worstOf(await scores("--model", MODEL, "--adapter", ADAPTER))).toBeLessThan(5e-5);
    expect(worstOf(await scores("--model", MODEL))).toBeGreaterThan(0.1);
  });

  it.each<[string, (key: string) => string]>([
    [
      "an earlier transformers",
      (key) => key.replace("model.language_model.", "model.").replace("model.model.visual", "model.visual"),
    ],
    ["a live model", (key) => key.replace(/(lora_[AB])/, "$1.default")],
  ])("says the same under the names of %s", async (name, rename) => {
    const other = join(folder, name.replaceAll(" ", "-"));
    copyRenamed(other, rename);
    expect(await scores("--model", MODEL, "--adapter", other)).toEqual(
      await scores("--model", MODEL, "--adapter", ADAPTER),
    );
  });

  it("has PEFT's gradients", async () => {
    const path = join(folder, "gradients.safetensors");
    await scores("--model", MODEL, "--adapter", ADAPTER, "--gradients", path);
    const expected = readTensors(join(ADAPTER, "gradients.safetensors"));
    const given = readTensors(path);
    expect([...given.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, { data }] of expected) {
      const norm = Math.hypot(...data);
      const difference = Math.hypot(...[...data].map((value, i) => value - (given.get(name)?.data[i] ?? Number.NaN)));
      expect(difference, name).toBeLessThan(1e-4 * norm);
    }
  });

  it("merged into the weights says the same", async () => {
    const out = join(folder, "merged");
    const merging = await runCli(["merge-adapter", "--model", MODEL, "--adapter", ADAPTER, "--out", out]);
    expect(merging).toMatchObject({ code: 0, stderr: "" });
    expect(worstOf(await scores("--model", out))).toBeLessThan(5e-5);
  });

  it("is written back as it was: the same tensors under the same names, the same layers and scales", async () => {
    const engine = await Engine.open({ device: "cpu", threads: 1 });
    try {
      const description = await describeFolder(engine, MODEL);
      const { spec, weights } = await readAdapter(ADAPTER, description);
      expect(new Set(spec.modules.map(({ rank }) => rank))).toEqual(new Set([4, 7]));
      expect(new Set(spec.modules.map(({ alpha }) => alpha))).toEqual(new Set([3, 8, 16]));
      const model = await engine.loadModel(MODEL, { lora: loraArgs(spec, { weights, seed: 0 }) });
      const out = join(folder, "again");
      await saveAdapterFolder(model, out, { spec, description, baseModel: MODEL });
      expect((await readAdapter(out, description)).spec).toEqual(spec);
      expect(readTensors(join(out, "adapter_model.safetensors"))).toEqual(
        readTensors(join(ADAPTER, "adapter_model.safetensors")),
      );
    } finally {
      engine.dispose();
    }
  });
});
