import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it, test, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { pathBeside } from "../../../lib/files/index.js";
import { Tokenizer } from "../../../lib/processing/index.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { goldenJson, goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

let addon = fakeAddon();

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

const MODEL = goldenPath("qwen2_5_vl_a");
const FOOD = fileURLToPath(new URL("../../../examples/food/tokenizer", import.meta.url));

function use(options: FakeOptions = {}) {
  addon = fakeAddon(options);
}

function argsOf<T>(verb: string): T[] {
  return addon.calls.filter((call) => call.verb === verb).map(({ args }) => args as T);
}

beforeEach(() => use());

describe("score", () => {
  const data = goldenPath("conversations.json");
  const golden = goldenJson<{ prompts: { id: string; token_ids: number[] }[] }>("qwen2_5_vl_a/prompts.json").prompts;
  const expected = golden.map(({ id, token_ids: ids }) => ({ id, token_ids: ids, logprobs: ids.map(() => -0.5) }));

  it("prints a line per row", async () => {
    const { code, stdout } = await runCli(["score", "--model", MODEL, "--data", data, "--json"]);
    expect(code).toBe(0);
    expect(jsonLines(stdout)).toEqual(expected);
    expect(argsOf("loadModel")[0]).toMatchObject({ train: "none" });
    expect(argsOf("logProbs")[0]).toMatchObject({ temperature: 1 });
  });

  it("accumulates the mean over all tokens, and saves gradients", async () => {
    const out = join(temporaryFolder(), "g.safetensors");
    const { stdout } = await runCli(["score", "--model", MODEL, "--data", data, "--json", "--gradients", out]);
    expect(jsonLines(stdout)).toEqual(expected);
    const totalTokens = golden.reduce((sum, { token_ids: ids }) => sum + ids.length, 0);
    const calls = argsOf<{ loss: unknown; groups: { completions: Int32Array[] }[] }>("accumulate");
    expect(calls.map(({ loss }) => loss)).toEqual(golden.map(() => ({ kind: "sft", totalTokens })));
    expect(calls.map(({ groups }) => [...(groups[0]?.completions[0] ?? [])])).toEqual(
      golden.map(({ token_ids: ids }) => ids),
    );
    expect(argsOf("loadModel")[0]).toMatchObject({ train: "full" });
    expect(argsOf("save")).toEqual([expect.objectContaining({ path: out, what: "gradients", dtype: "f32" })]);
    expect(argsOf("logProbs")).toEqual([]);
  });

  it("takes the gradients of the adapter where there is one", async () => {
    const shapes = pair("visual.blocks.0.attn.qkv", 72, 24, 4);
    const adapter = writeAdapter(temporaryFolder(), shapes);
    const out = join(temporaryFolder(), "g.safetensors");
    const args = ["--model", MODEL, "--adapter", adapter, "--data", data];
    expect((await runCli(["score", ...args, "--gradients", out])).code).toBe(0);
    expect((await runCli(["score", ...args])).code).toBe(0);
    expect(argsOf<{ train: string }>("loadModel").map(({ train }) => train)).toEqual(["lora", "none"]);
  });

  it("names rows that it leaves out, and does not count their tokens", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "broken.png"), "no picture");
    const turns = (answer: string) => [
      { from: "human", value: "?" },
      { from: "gpt", value: answer },
    ];
    const rows = [
      { id: "fine", conversations: turns("4") },
      { id: "silent", conversations: [{ from: "human", value: "?" }] },
      { id: "torn", image: "broken.png", conversations: turns("a long answer") },
      { id: "wrong", conversations: 1 },
    ];
    const file = join(folder, "rows.json");
    writeFileSync(file, JSON.stringify(rows));
    const { code, stdout, stderr } = await runCli([
      "score",
      "--model",
      MODEL,
      "--data",
      file,
      "--json",
      "--gradients",
      "g",
    ]);
    expect(code).toBe(0);
    expect(jsonLines(stdout).map(({ id }) => id)).toEqual(["fine"]);
    for (const id of ["silent", "torn", "wrong"]) expect(stderr).toMatch(new RegExp(`warning: left out: .*${id}`));
    expect(argsOf("accumulate")).toEqual([expect.objectContaining({ loss: { kind: "sft", totalTokens: 2 } })]);
  });

  it("sums up for people", async () => {
    const { stdout } = await runCli(["score", "--model", MODEL, "--data", data]);
    expect(stdout).toContain("mean negative log-likelihood 0.5000, perplexity 1.649");
  });
});

test("a field of several types that is missing is said to be so", async () => {
  expect(await runCli(["score", "--model", MODEL])).toMatchObject({
    code: 2,
    stderr: "error [ERR_CONFIG] data: must be given\n",
  });
});

describe("eval", () => {
  it("knows that its answers cannot be written before it asks for them, and leaves earlier ones", async () => {
    const folder = temporaryFolder();
    const answers = join(folder, "answers.jsonl");
    writeFileSync(answers, "of yesterday");
    const run = (path: string, model: string) =>
      runCli(["eval", "--model", model, "--dataset", goldenPath("conversations.json"), "--answers", path]);
    expect(await run(join(answers, "below"), MODEL)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("below"),
    });
    expect(argsOf("loadModel")).toEqual([]);
    expect((await run(answers, "nowhere")).code).toBe(1);
    expect(readFileSync(answers, "utf8")).toBe("of yesterday");
  });
});

describe("merge-adapter", () => {
  const shapes = pair("model.language_model.layers.0.self_attn.q_proj", 48, 48, 4);

  it("writes the model with the adapter in it", async () => {
    const adapter = writeAdapter(temporaryFolder(), shapes, { base_model_name_or_path: "elsewhere" });
    const out = join(temporaryFolder(), "merged");
    const args = ["--model", MODEL, "--adapter", adapter, "--out", out, "--dtype", "bf16", "--max-shard-size", "500MB"];
    const { code, stdout } = await runCli(["merge-adapter", ...args]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${out}: ${MODEL} with ${adapter} (layers: 1) merged in\n` });
    expect(argsOf("loadModel")).toEqual([
      expect.objectContaining({ directory: MODEL, train: "none", lora: expect.objectContaining({ seed: 0 }) }),
    ]);
    expect(argsOf("save")).toEqual([
      { path: expect.stringContaining("merged"), what: "merged", dtype: "bf16", maxShardBytes: 5e8 },
    ]);
    expect(JSON.parse(readFileSync(join(out, "config.json"), "utf8"))).toMatchObject({ dtype: "bfloat16" });
    expect(readdirSync(out)).toContain("tokenizer.json");
  });

  it("takes the adapter's own base model, in the type that it is in", async () => {
    const adapter = writeAdapter(temporaryFolder(), shapes, { base_model_name_or_path: MODEL });
    const out = join(temporaryFolder(), "merged");
    const { code, stdout } = await runCli(["merge-adapter", "--adapter", adapter, "--out", out, "--json"]);
    expect(code).toBe(0);
    expect(jsonLines(stdout)).toEqual([{ directory: out, model: MODEL, adapter, layers: 1, dtype: "f32" }]);
    expect(argsOf("save")).toEqual([expect.objectContaining({ dtype: "f32", maxShardBytes: 5e9 })]);
  });

  it("refuses what is no adapter, the adapter's own folder, and the base model's", async () => {
    const adapter = writeAdapter(temporaryFolder(), shapes);
    const run = (...args: string[]) => runCli(["merge-adapter", ...args]);
    expect(await run("--adapter", MODEL, "--out", "x")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("no adapter_config.json"),
    });
    expect(await run("--model", MODEL, "--adapter", adapter, "--out", adapter)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("holds an adapter"),
    });
    // The adapter would be added again by whoever loads both.
    const base = join(temporaryFolder(), "base");
    cpSync(MODEL, base, { recursive: true });
    expect(await run("--model", base, "--adapter", adapter, "--out", `${base}/.`)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("the folder that the model was loaded from"),
    });
    expect(argsOf("save")).toEqual([]);
  });
});

describe("init-model", () => {
  it("makes a folder from a preset and a tokenizer", async () => {
    const out = join(temporaryFolder(), "new");
    const { code, stdout } = await runCli([
      "init-model",
      "--preset",
      "tiny",
      "--tokenizer",
      FOOD,
      "--out",
      out,
      "--seed",
      "5",
      "--dtype",
      "bf16",
      "--max-shard-size",
      "100KB",
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${out}: 1,234 parameters, bf16, seed 5\n` });
    expect(readdirSync(out)).toEqual(expect.arrayContaining([...readdirSync(FOOD), "config.json"]));
    const text = readFileSync(join(out, "config.json"), "utf8");
    expect(argsOf("initModel")).toEqual([
      { config: text, directory: pathBeside(out), seed: 5, dtype: "bf16", maxShardBytes: 1e5 },
    ]);
    const tokenizer = await Tokenizer.load(FOOD);
    expect(JSON.parse(text)).toMatchObject({
      model_type: "qwen2_5_vl",
      vocab_size: tokenizer.vocabSize,
      image_token_id: tokenizer.tokenId("<|image_pad|>"),
      vision_start_token_id: tokenizer.tokenId("<|vision_start|>"),
      eos_token_id: tokenizer.tokenId("<|im_end|>"),
    });
  });

  it("reads a nested config.json, and writes what a bare tokenizer folder lacks", async () => {
    const folder = temporaryFolder();
    const bare = temporaryFolder();
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      writeFileSync(join(bare, name), readFileSync(join(FOOD, name)));
    }
    const out = join(folder, "new");
    const config = join(MODEL, "config.json");
    expect((await runCli(["init-model", "--config", config, "--tokenizer", bare, "--out", out])).code).toBe(0);
    const written = (name: string) => JSON.parse(readFileSync(join(out, name), "utf8")) as Record<string, unknown>;
    const tokenizer = await Tokenizer.load(FOOD);
    expect(written("config.json").text_config).toMatchObject({ hidden_size: 48, vocab_size: tokenizer.vocabSize });
    expect(written("preprocessor_config.json")).toMatchObject({ patch_size: 14, merge_size: 2, min_pixels: 3136 });
    expect(written("generation_config.json").eos_token_id).toContain(tokenizer.eosTokenId);
  });

  it("leaves nothing behind that could be taken for a model, so that it can be called again", async () => {
    const out = join(temporaryFolder(), "new");
    const args = ["init-model", "--preset", "tiny", "--tokenizer", FOOD, "--out", out];
    use({ fails: { verb: "initModel", error: new Error("no space left") } });
    expect((await runCli(args)).code).toBe(1);
    expect(readdirSync(join(out, ".."))).toEqual([]);
    use();
    expect((await runCli(args)).code).toBe(0);
    expect(readdirSync(join(out, ".."))).toEqual(["new"]);
  });

  it("does not write over files unless forced", async () => {
    const out = temporaryFolder();
    writeFileSync(join(out, "precious"), "");
    const args = ["init-model", "--preset", "tiny", "--tokenizer", FOOD, "--out", out];
    expect(await runCli(args)).toMatchObject({ code: 2, stderr: expect.stringContaining("is not empty") });
    expect(readdirSync(out)).toEqual(["precious"]);
    expect((await runCli([...args, "--force"])).code).toBe(0);
  });

  it.each([
    [[], "expected either --config or --preset"],
    [["--preset", "huge"], "expected one of tiny, starter, bench-10m"],
    [["--preset", "tiny", "--config", "c.json"], "expected either --config or --preset"],
  ])("refuses %j", async (args, message) => {
    const out = join(temporaryFolder(), "new");
    const { code, stderr } = await runCli(["init-model", "--tokenizer", FOOD, "--out", out, ...args]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe("doctor", () => {
  it("passes without CUDA, and says why there is none", async () => {
    const { code, stdout } = await runCli(["doctor", "--json"]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { ok: boolean; checks: { name: string; status: string; detail: string }[] };
    expect(report.ok).toBe(true);
    expect(report.checks.map(({ name }) => name)).toEqual([
      "node",
      "machine",
      "sharp",
      "addon",
      "isa",
      "threads",
      "cuda",
    ]);
    expect(report.checks.at(-1)).toMatchObject({ status: "note", detail: "built without CUDA" });
    expect((await runCli(["doctor"])).stdout).toMatch(/^ok {4}node/m);
  });

  it("fails with a hint where the addon does not work", async () => {
    vi.stubEnv("VLMR1_THREADS", "several");
    const { code, stdout } = await runCli(["doctor"]);
    vi.unstubAllEnvs();
    expect(code).toBe(1);
    expect(stdout).toMatch(/FAIL {2}threads .*VLMR1_THREADS[\s\S]*Check VLMR1_THREADS/);
  });
});

describe("the program", () => {
  it("prints its version and its help", async () => {
    expect(await runCli(["--version"])).toMatchObject({ code: 0, stdout: "1.2.3\n" });
    const { code, stdout } = await runCli(["--help"]);
    expect(code).toBe(0);
    for (const name of ["train", "sft", "eval", "generate", "score", "merge-adapter", "init-model", "doctor"])
      expect(stdout).toContain(`  ${name}`);
  });

  it.each(["train", "sft", "eval", "generate", "score", "merge-adapter", "init-model", "doctor"])(
    "%s --help has an example",
    async (name) => {
      const { code, stdout } = await runCli([name, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`Example[\\s\\S]*vlmr1-native ${name}`));
    },
  );

  it("puts the options of train under headings, each in columns that fit a terminal", async () => {
    const { stdout } = await runCli(["train", "--help"]);
    const headings = stdout.split("\n").filter((line) => /^[A-Z].*:$/.test(line));
    const groups = [
      "Model",
      "Data",
      "Run",
      "Evaluation",
      "Optimizer",
      "LoRA and freezing",
      "Sampling",
      "Rewards",
      "Loss",
    ];
    expect(headings).toEqual(["Options", ...groups, "Example"].map((name) => `${name}:`));
    const under = (heading: string) => stdout.split(`\n${heading}:\n`)[1]?.split("\n\n")[0] ?? "";
    expect(under("Options").match(/^ {2}-\S+/gm)).toEqual(["  --json", "  --config", "  --set", "  -h,"]);
    expect(under("Optimizer")).toMatch(/^ {2}--learning-rate <n> {13}highest learning rate/);
    // A long list of names stands in the text, and a long flag on a line of its own.
    expect(under("Loss")).toMatch(/^ {2}--loss-type <name> .*\n[^-]*; one of grpo, bnpo/);
    expect(under("Loss")).toMatch(/\n {2}--importance-sampling-level <token\|sequence>\n {34}\S/);
    const options = stdout.slice(0, stdout.indexOf("Example:")).split("\n");
    // A flag itself is never cut.
    expect(options.filter((line) => line.length > 80 && line.includes("  ", 4))).toEqual([]);
  });

  it("shows shared options under a heading only where the command has one", async () => {
    expect((await runCli(["help", "generate"])).stdout).toBe((await runCli(["generate", "--help"])).stdout);
  });

  it("says of a switch that is on what turning it off does", async () => {
    const { stdout } = await runCli(["train", "--help"]);
    expect(stdout).toMatch(/--no-log-completions\s+turn off: write completions\.jsonl/);
    expect(stdout).toMatch(/--augment\s+show pictures/);
  });

  it.each([
    [["trian"], "Did you mean train?"],
    [["--wrong"], "unknown option"],
    [["doctor", "extra"], "too many arguments"],
  ])("%j is wrong usage", async (args, message) => {
    const { code, stderr } = await runCli(args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^error \[ERR_USAGE\] /);
    expect(code).toBe(2);
  });
});
