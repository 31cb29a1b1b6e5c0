import OpenAI from "openai";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { Tokenizer } from "../../../lib/processing/index.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { answeringAddon, END, hashAnswer, MODEL } from "./fake-server.js";

let addon = answeringAddon(() => [END]);
let tokenizer: Tokenizer;

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

beforeAll(async () => {
  tokenizer = await Tokenizer.load(MODEL);
});
beforeEach(() => {
  addon = answeringAddon(hashAnswer(tokenizer));
});

describe("vlmr1-native serve", () => {
  test("says where it is, logs what it did, and ends well when it is interrupted", async () => {
    const controller = new AbortController();
    let ready = (_: string) => {};
    const line = new Promise<string>((resolve) => {
      ready = resolve;
    });
    const args = ["serve", "--model", MODEL, "--port", "0", "--json", "--max_num_seqs", "2", "--apiKey", "k"];
    const running = runCli(args, { signal: controller.signal, onWrite: (text) => ready(text) });
    const [{ url, model }] = jsonLines(await line) as [{ url: string; model: string }];
    const client = new OpenAI({ baseURL: url, apiKey: "k", maxRetries: 0 });
    const messages = [{ role: "user" as const, content: "Hi" }];
    await client.chat.completions.create({ model, messages });
    await expect(client.chat.completions.create({ model: "x\n\u001b[31m", messages })).rejects.toMatchObject({
      status: 404,
    });
    addon.steps.fails = Object.assign(new Error("no memory"), { code: "ERR_OUT_OF_MEMORY" });
    await expect(client.chat.completions.create({ model, messages })).rejects.toMatchObject({ status: 503 });
    controller.abort();
    const { code, stderr } = await running;
    expect(code).toBe(0);
    expect(stderr).toContain("ending: requests under way have 10 seconds");
    expect(stderr).toMatch(/^serving qwen2_5_vl_a at http:\/\/127\.0\.0\.1:\d+\/v1; Ctrl-C ends it\n/);
    expect(stderr).toMatch(/\nPOST \/v1\/chat\/completions 200 \d+\.\d\d s, \d+ \+ \d+ tokens\n/);
    expect(stderr).toMatch(/\nPOST \/v1\/chat\/completions 404 .*"x\\u\{a\}\\u\{1b\}\[31m"/);
    expect(stderr).toContain("warning: a request failed: [ERR_OUT_OF_MEMORY] no memory; lower max_num_seqs");
    expect(addon.calls.map(({ verb }) => verb)).toContain("engine.dispose");
  });

  test.each([
    [[], 2, "model: must be given"],
    [["--model", MODEL, "--host", "0.0.0.0"], 2, "VLMR1_API_KEY"],
    [["--model", MODEL, "--port", "70000"], 2, "at most 65535"],
    [["--model", MODEL, "--max-request-bytes", "much"], 2, "expected a size such as 20MiB"],
    [["--model", MODEL, "--max-model-len", "9999", "--port", "0"], 2, "at most the model's 512"],
    [["--model", "none", "--port", "0"], 1, "none"],
  ])("refuses %j", async (args, expected, message) => {
    const { code, stderr, stdout } = await runCli(["serve", ...args]);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
  });
});
