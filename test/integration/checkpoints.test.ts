import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type CliResult, jsonLines, runCli } from "../support/cli.js";
import { goldenPath } from "../support/golden.js";
import {
  coarse,
  narrowed,
  readStored,
  type StoredTensor,
  type StoredTensors,
  writeStored,
} from "../support/safetensors.js";
import { temporaryFolder } from "../support/temporary.js";

const DATA = goldenPath("conversations.json");
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const NORM = "model.norm.weight";
const QUERY = "model.layers.1.self_attn.q_proj.weight";
const MERGER = "visual.merger.mlp.2.bias";

const scratch = temporaryFolder();
let folders = 0;

/** A golden model's folder with other weights, in one file. */
function folderWith(model: string, tensors: StoredTensors): string {
  const folder = join(scratch, String(folders++));
  mkdirSync(folder);
  const rest = readdirSync(goldenPath(model)).filter(
    (name) => name === "config.json" || /token|template|proc/.test(name),
  );
  for (const name of rest) copyFileSync(join(goldenPath(model), name), join(folder, name));
  writeStored(join(folder, WEIGHTS), tensors);
  return folder;
}

const shardName = (number: number) => `model-0000${number}-of-00003.safetensors`;

/** The same in three files, whose names follow no layer's order, with an index. */
function shardedFolderWith(model: string, tensors: StoredTensors): string {
  const folder = folderWith(model, tensors);
  rmSync(join(folder, WEIGHTS));
  const weightMap: Record<string, string> = {};
  for (const number of [1, 2, 3]) {
    const part = new Map([...tensors].filter((_, index) => index % 3 === number - 1));
    writeStored(join(folder, shardName(number)), part);
    for (const name of part.keys()) weightMap[name] = shardName(number);
  }
  writeFileSync(join(folder, INDEX), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  return folder;
}

/** Names as transformers has them in memory. */
function runtimeNames(tensors: StoredTensors): StoredTensors {
  const rename = (name: string) =>
    name.startsWith("visual.") ? `model.${name}` : name.replace(/^model\./, "model.language_model.");
  return new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));
}

const each = (tensors: StoredTensors, change: (tensor: StoredTensor) => StoredTensor): StoredTensors =>
  new Map([...tensors].map(([name, tensor]) => [name, change(tensor)]));

function score(folder: string): Promise<CliResult> {
  return runCli(["score", "--model", folder, "--data", DATA, "--json", "--threads", "1"]);
}

async function logProbs(folder: string): Promise<unknown[]> {
  const { code, stdout, stderr } = await score(folder);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return jsonLines(stdout).map(({ id, logprobs }) => [id, logprobs]);
}

describe.each(["qwen2_5_vl_a", "qwen2_vl_b"])("the same numbers, whatever the layout of %s", (model) => {
  const tensors = each(readStored(join(goldenPath(model), WEIGHTS)), coarse);
  const half = (dtype: "F16" | "BF16") => each(tensors, (tensor) => narrowed(tensor, dtype));
  let expected: unknown[];
  beforeAll(async () => {
    expected = await logProbs(folderWith(model, tensors));
    expect(expected).toHaveLength(4);
    expect(expected).not.toEqual(await logProbs(goldenPath(model)));
  });

  it.each([
    ["transformers' names in memory", () => folderWith(model, runtimeNames(tensors))],
    ["shards", () => shardedFolderWith(model, tensors)],
    ["f16", () => folderWith(model, half("F16"))],
    ["bf16", () => folderWith(model, half("BF16"))],
    ["bf16 shards with names in memory", () => shardedFolderWith(model, runtimeNames(half("BF16")))],
    ["rotary frequencies of old releases", () => folderWith(model, new Map([...tensors, ...inverseFrequencies]))],
  ])("%s", async (_, make) => {
    expect(await logProbs(make())).toEqual(expected);
  });
});

const inverseFrequencies: StoredTensors = new Map([
  ["model.layers.0.self_attn.rotary_emb.inv_freq", { dtype: "F32", shape: [1], bytes: new Uint8Array(4) }],
]);

describe("a tied lm_head that is stored as well", () => {
  const model = "qwen2_5_vl_a";
  const tensors = readStored(join(goldenPath(model), WEIGHTS));
  const embedding = tensors.get(EMBEDDING) as StoredTensor;

  it.each([folderWith, shardedFolderWith])("changes nothing", async (make) => {
    expect(await logProbs(make(model, new Map([...tensors, [HEAD, embedding]])))).toEqual(
      await logProbs(goldenPath(model)),
    );
  });

  it("is refused where it has values of its own, which transformers 4 and 5 read differently", async () => {
    const { code, stderr } = await score(folderWith(model, new Map([...tensors, [HEAD, coarse(embedding)]])));
    expect(code).toBe(1);
    expect(stderr).toContain(`${HEAD} (tied to ${EMBEDDING})`);
    expect(stderr).toContain("tie_word_embeddings: false");
  });
});

describe("checkpoints that are not whole", () => {
  const model = "qwen2_5_vl_a";
  const whole = readStored(join(goldenPath(model), WEIGHTS));
  const tensor = (name: string) => whole.get(name) as StoredTensor;
  const ones = (...shape: number[]): StoredTensor => ({
    dtype: "F32",
    shape,
    bytes: new Uint8Array(new Float32Array(shape.reduce((a, b) => a * b)).fill(1).buffer),
  });
  const without = (...names: string[]) => new Map([...whole].filter(([name]) => !names.includes(name)));
  const integers = (name: string, dtype: string): [string, StoredTensor] => [name, { ...tensor(name), dtype }];

  async function expectRefusal(folder: string, error: string, names: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await score(folder);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`error [${error}] `);
    for (const name of names) expect(stderr).toContain(name);
  }

  it("names every tensor that is missing, extra, misshapen or no floating point, in one error", async () => {
    const tensors = new Map([
      ...without(NORM, "visual.blocks.0.attn.qkv.bias"),
      [QUERY, ones(2, 3)] as const,
      integers(MERGER, "I32"),
      integers("model.layers.0.mlp.up_proj.weight", "U32"),
      ["model.layers.9.mlp.up_proj.weight", ones(4)] as const,
      ["strange", ones(1)] as const,
    ]);
    await expectRefusal(folderWith(model, tensors), "ERR_CHECKPOINT", [
      "2 missing: ",
      NORM,
      "visual.blocks.0.attn.qkv.bias",
      `1 of another shape: ${QUERY} (expected [48, 48], got [2, 3])`,
      "2 of a dtype that is no floating point: ",
      `${MERGER} (I32)`,
      "model.layers.0.mlp.up_proj.weight (U32)",
      "2 that the model has no place for: ",
      "model.layers.9.mlp.up_proj.weight",
      "strange",
    ]);
  });

  it("counts what a long list leaves out", async () => {
    const [first] = whole;
    const folder = folderWith(model, new Map(first === undefined ? [] : [first]));
    await expectRefusal(folder, "ERR_CHECKPOINT", [`${whole.size - 1} missing: `, `and ${whole.size - 33} more`]);
  });

  it("names all shards that are not there", async () => {
    const folder = shardedFolderWith(model, whole);
    for (const number of [1, 3]) rmSync(join(folder, shardName(number)));
    await expectRefusal(folder, "ERR_IO", ["2 are not there: ", shardName(1), shardName(3)]);
  });

  it("names a shard that is cut off", async () => {
    const folder = shardedFolderWith(model, whole);
    truncateSync(join(folder, shardName(2)), readFileSync(join(folder, shardName(2))).length - 4);
    await expectRefusal(folder, "ERR_CHECKPOINT", [shardName(2)]);
    truncateSync(join(folder, shardName(2)), 100);
    await expectRefusal(folder, "ERR_CHECKPOINT", [`${shardName(2)}: cut off`]);
  });

  it("names the tensors that a shard should hold and does not", async () => {
    const folder = shardedFolderWith(model, whole);
    const path = join(folder, shardName(2));
    const shard = [...readStored(path)];
    writeStored(path, new Map(shard.slice(2)));
    const gone = shard.slice(0, 2).map(([name]) => `${name} (${shardName(2)})`);
    await expectRefusal(folder, "ERR_CHECKPOINT", [INDEX, "2 that the file named for it does not hold: ", ...gone]);
  });
});
