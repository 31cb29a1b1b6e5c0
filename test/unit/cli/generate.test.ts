import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type * as StandardInput from "../../../lib/cli/standard-input.js";
import type * as Load from "../../../lib/engine/load.js";
import { Tokenizer } from "../../../lib/processing/index.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { PLAIN_LOAD } from "../../support/load.js";
import { temporaryFolder } from "../../support/temporary.js";

let addon = fakeAddon();

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

const stdin = vi.hoisted(() => ({ text: undefined as string | undefined }));
vi.mock("../../../lib/cli/standard-input.js", async (original) => ({
  ...(await original<typeof StandardInput>()),
  isTerminal: () => stdin.text === undefined,
  readStandardInput: async () => stdin.text,
}));

const MODEL = goldenPath("qwen2_5_vl_a");

function use(options: FakeOptions = {}) {
  addon = fakeAddon(options);
}

function argsOf<T>(verb: string): T[] {
  return addon.calls.filter((call) => call.verb === verb).map(({ args }) => args as T);
}

beforeEach(() => {
  use();
  stdin.text = undefined;
});

describe("generate", () => {
  it("prints the machine form", async () => {
    const tokenizer = await Tokenizer.load(MODEL);
    const tokens = [...tokenizer.encode("4 kcal"), 310];
    use({ tokens });
    const args = ["--model", MODEL, "--prompt", "2 + 2?", "--temperature", "0", "--max-new-tokens", "5", "--json"];
    const { code, stdout, stderr } = await runCli(["generate", ...args]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(Object.keys(jsonLines(stdout)[0] ?? {})).toEqual([
      "text",
      "token_ids",
      "logprobs",
      "finish_reason",
      "prompt_token_ids",
    ]);
    expect(jsonLines(stdout)).toEqual([
      {
        text: "4 kcal",
        token_ids: tokens,
        logprobs: tokens.map(() => -0.25),
        finish_reason: "stop",
        prompt_token_ids: expect.arrayContaining([311]),
      },
    ]);
  });

  it("sends pictures, sampling, seed and end tokens to the engine", async () => {
    const image = goldenPath("images/square.png");
    const prompt = "<image> or <image>?";
    const sampling = [
      "--top-k",
      "7",
      "--top_p",
      "0.9",
      "--minP",
      "0.1",
      "--temperature",
      "0.5",
      "--seed",
      "9",
      "--n",
      "2",
      "--max-num-seqs",
      "3",
    ];
    const { code, stdout } = await runCli([
      "generate",
      "--model",
      MODEL,
      "--image",
      image,
      image,
      "--prompt",
      prompt,
      ...sampling,
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain("--- 2 of 2");
    const [call] = argsOf<{
      n: number;
      maxRows: number;
      seed: number;
      sampling: object;
      prompts: { tokens: Int32Array; images: unknown[] }[];
    }>("generate");
    expect(call).toMatchObject({
      n: 2,
      maxRows: 3,
      seed: 9,
      sampling: { topK: 7, topP: 0.9, minP: 0.1, temperature: 0.5, stopTokens: [310] },
    });
    expect(call?.prompts[0]?.images).toHaveLength(2);
    expect(call?.prompts[0]?.tokens.filter((id) => id === 314)).toHaveLength(2 * 16);
  });

  it("takes the prompt as an argument, and a system message", async () => {
    const { stdout } = await runCli(["generate", "--model", MODEL, "--system", "Be brief.", "--json", "what?"]);
    const tokenizer = await Tokenizer.load(MODEL);
    const prompt = tokenizer.decode(jsonLines(stdout)[0]?.prompt_token_ids as number[]);
    expect(prompt).toBe(
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nwhat?<|im_end|>\n<|im_start|>assistant\n",
    );
  });

  it.each([
    [[], "what?\n", "what?"],
    [[], "two\nlines\r\n", "two\nlines"],
    [["-"], "as it is\n", "as it is\n"],
    [["--prompt", "-"], "as it is\n", "as it is\n"],
    [["--prompt", "given"], "not read", "given"],
  ])("with %j and %j on standard input asks %j", async (args, text, expected) => {
    stdin.text = text;
    const { code, stdout } = await runCli(["generate", "--model", MODEL, "--json", ...args]);
    expect(code).toBe(0);
    const prompt = (await Tokenizer.load(MODEL)).decode(jsonLines(stdout)[0]?.prompt_token_ids as number[]);
    expect(prompt).toContain(`<|im_start|>user\n${expected}<|im_end|>`);
  });

  it("says that there is no prompt where standard input is empty", async () => {
    stdin.text = "\n";
    const { code, stderr } = await runCli(["generate", "--model", MODEL, "--image", "a.png", "What?"]);
    expect(code).toBe(2);
    expect(stderr).toContain("there is no prompt, and standard input is empty");
    expect(stderr).toContain('"What?" was taken for a picture');
  });

  describe("one answer", () => {
    const args = ["generate", "--model", MODEL, "--prompt", "x"];
    const written: string[] = [];
    const tokensOf = async (text: string) => [...(await Tokenizer.load(MODEL)).encode(text)];
    const run = (options: { signal?: AbortSignal } = {}) => {
      written.length = 0;
      return runCli(args, { ...options, onWrite: (text) => written.push(text) });
    };

    it("is written as it is drawn, whole characters at a time", async () => {
      // The crab is several tokens of a byte each.
      const tokens = [...(await tokensOf("one 🦀 two")), 310];
      use({ tokens, news: [[], tokens.slice(0, 3), ...tokens.slice(3, 7).map((token) => [token])] });
      expect(await run()).toEqual({ code: 0, stdout: "one 🦀 two\n", stderr: "" });
      expect(written.filter((text) => text.includes("🦀"))).toEqual(["🦀"]);
      expect(written.length).toBeGreaterThan(3);
    });

    it("shows a terminal what would command it, and gives a pipe the text as it is", async () => {
      const text = "a\tb\n\u001b]0;title\u0007\u001b[31mred\r\u009b2J\u202edne 👩‍🍳";
      use({ tokens: [...(await tokensOf(text)), 310] });
      expect((await runCli(args)).stdout).toBe(`${text}\n`);
      const shown = "a\tb\n\\u{1b}]0;title\\u{7}\\u{1b}[31mred\\u{d}\\u{9b}2J\\u{202e}dne 👩‍🍳\n";
      for (const more of [[], ["--n", "2"]]) {
        use({ tokens: [...(await tokensOf(text)), 310] });
        expect((await runCli([...args, ...more], { tty: true })).stdout).toContain(shown);
      }
    });

    it("is written whole where the engine reported nothing, and said to be cut", async () => {
      use({ tokens: await tokensOf("half an"), finishReason: "length" });
      expect(await run()).toEqual({ code: 0, stdout: "half an\n", stderr: "note: cut at --max-new-tokens\n" });
    });

    it("ends with what there is when it is interrupted", async () => {
      use({ hangs: "generate", news: [await tokensOf("so far")] });
      const controller = new AbortController();
      const running = run({ signal: controller.signal });
      await vi.waitFor(() => expect(argsOf("generate")).toHaveLength(1), { timeout: 20_000 });
      controller.abort();
      expect(await running).toEqual({ code: 130, stdout: "so far\n", stderr: "" });
    });
  });

  it("puts an adapter on the model, or finds the model of an adapter", async () => {
    const shapes = pair("model.language_model.layers.0.self_attn.q_proj", 48, 48, 4);
    const folder = writeAdapter(temporaryFolder(), shapes, { base_model_name_or_path: MODEL });
    const weights = join(folder, "adapter_model.safetensors");
    const modules = [{ name: "model.layers.0.self_attn.q_proj", rank: 4, scale: 2 }];
    for (const source of [
      ["--model", MODEL, "--adapter", folder],
      ["--model", folder],
    ]) {
      use();
      expect((await runCli(["generate", ...source, "--prompt", "x", "--precision", "bf16"])).code).toBe(0);
      const lora = { modules, dropout: 0, seed: 0, weights, keepStart: false };
      expect(argsOf("loadModel")).toEqual([{ ...PLAIN_LOAD, directory: MODEL, precision: "bf16", lora }]);
    }
    expect(await runCli(["generate", "--model", folder, "--adapter", folder, "x"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is an adapter, and adapter is given too"),
    });
  });

  it("frees the engine also when it fails", async () => {
    use({
      fails: {
        verb: "loadModel",
        error: Object.assign(new Error("model.safetensors: too short"), { code: "ERR_CHECKPOINT" }),
      },
    });
    const { code, stderr } = await runCli(["generate", "--model", MODEL, "--prompt", "x"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error \[ERR_CHECKPOINT\] model\.safetensors: too short\nhint: /);
    expect(argsOf("engine.dispose")).toHaveLength(1);
  });

  it("ends with 130 when it is interrupted", async () => {
    use({ hangs: "generate" });
    const controller = new AbortController();
    const running = runCli(["generate", "--model", MODEL, "--prompt", "x"], { signal: controller.signal });
    await vi.waitFor(() => expect(argsOf("generate")).toHaveLength(1), { timeout: 20_000 });
    controller.abort();
    expect(await running).toMatchObject({ code: 130, stdout: "" });
    expect(argsOf("engine.dispose")).toHaveLength(1);
  });

  it.each([
    [["--prompt", "x"], 2, "model: must be given"],
    [["--model", MODEL], 2, "there is no prompt"],
    [["--model", MODEL, "--image", "a.png", "What?"], 2, '"What?" was taken for a picture'],
    [["--model", MODEL, "--profile", "What?"], 2, '"What?" was taken for the profile\'s file'],
    [["--model", MODEL, "--prompt", "x", "y"], 2, "given twice"],
    [["--model", MODEL, "--chat", "--n", "2"], 2, "one answer"],
    [["--model", MODEL, "--chat", "-"], 2, "reads standard input itself"],
    [["--model", MODEL, "--chat", "--prompts-file", "x"], 2, "exclude each other"],
    [["--model", MODEL, "--prompts-file", "x", "y"], 2, "--prompts-file and a prompt exclude each other"],
    [["--model", MODEL, "--prompts-file", "none.jsonl"], 1, "cannot read the prompts none.jsonl"],
    [["--model", MODEL, "--prompt", "x", "--top-p", "2"], 2, "top_p (from --top-p): expected at most 1, got 2"],
    [["--model", MODEL, "--prompt", "x", "--tempreature", "1"], 2, "Did you mean --temperature?"],
    [["--model", MODEL, "--prompt", "<image>"], 1, "1 <image> markers, but 0 pictures"],
    [["--model", MODEL, "--prompt", "x", "--image", "none.png"], 1, "none.png"],
    [["--model", "no/such/folder", "--prompt", "x"], 1, "no/such/folder"],
  ])("refuses %j", async (args, expected, message) => {
    const { code, stdout, stderr } = await runCli(["generate", ...args]);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
  });
});
