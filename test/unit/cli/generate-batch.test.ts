import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type * as StandardInput from "../../../lib/cli/standard-input.js";
import type * as Load from "../../../lib/engine/load.js";
import type { GenerateArgs } from "../../../lib/engine/native-types.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

let addon = fakeAddon();
vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));
const stdin = vi.hoisted(() => ({ stream: undefined as Readable | undefined }));
vi.mock("../../../lib/cli/standard-input.js", async (original) => ({
  ...(await original<typeof StandardInput>()),
  standardInput: () => stdin.stream,
}));

const MODEL = goldenPath("qwen2_5_vl_a");
const SQUARE = goldenPath("images/square.png");
const folder = temporaryFolder();

function use(options: FakeOptions = {}) {
  addon = fakeAddon(options);
}
const calls = () => addon.calls.filter(({ verb }) => verb === "generate").map(({ args }) => args as GenerateArgs);

function questions(...lines: unknown[]): string {
  const path = join(folder, "questions.jsonl");
  writeFileSync(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
  return path;
}
const run = (path: string, ...args: string[]) =>
  runCli(["generate", "--model", MODEL, "--prompts-file", path, "--max-new-tokens", "20", ...args]);

beforeEach(() => use());

describe("a file of prompts", () => {
  it("is answered in one call, in its order, with pictures of its folder", async () => {
    const path = questions(
      { id: "a", prompt: "One?" },
      { prompt: "<image> or <image>?", image: [SQUARE, SQUARE] },
      "",
      { id: 7, prompt: "Three?", system: "Be brief.", other: "kept out" },
    );
    const { code, stdout, stderr } = await run(path, "--json", "--seed", "5", "--max-num-seqs", "3");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const rows = jsonLines(stdout);
    expect(rows.map(({ id }) => id)).toEqual(["a", 2, 7]);
    const keys = ["id", "text", "token_ids", "logprobs", "finish_reason", "prompt_token_ids"];
    expect(Object.keys(rows[0] ?? {})).toEqual(keys);
    // The empty line is none, but counts: the third answer is that of the fourth line, whatever else is in the file.
    expect(calls().map(({ firstRow, prompts, seed, maxRows }) => [firstRow, prompts.length, seed, maxRows])).toEqual([
      [0, 2, 5, 3],
      [3, 1, 5, 3],
    ]);
    expect(calls()[0]?.prompts[1]?.images).toHaveLength(2);
  });

  it("may name its pictures beside it, and have a mark at its beginning", async () => {
    const path = join(dirname(SQUARE), "none-such", "..", "square.png");
    const text = `\uFEFF${JSON.stringify({ prompt: "x", images: path })}\r\n`;
    expect((await run(questions(text))).code).toBe(0);
    expect(calls()[0]?.prompts[0]?.images).toHaveLength(1);
  });

  it("goes on after lines that are wrong, and says which", async () => {
    const path = questions(
      { prompt: "fine" },
      "{",
      { question: "no prompt" },
      { id: "none", prompt: "x", image: "none.png" },
      { id: "marks", prompt: "<image>" },
      { id: "long", prompt: "word ".repeat(300) },
      { id: "last", prompt: "fine" },
    );
    const { code, stdout, stderr } = await run(path, "--json");
    expect(code).toBe(0);
    const rows = jsonLines(stdout);
    expect(rows.map(({ id, error }) => [id, (error as { code: string } | undefined)?.code])).toEqual([
      [1, undefined],
      [2, "ERR_DATA"],
      [3, "ERR_DATA"],
      ["none", "ERR_NOT_FOUND"],
      ["marks", "ERR_DATA"],
      ["long", "ERR_DATA"],
      ["last", undefined],
    ]);
    expect(stderr).toContain("warning: line 2 (2): not JSON");
    expect(stderr).toContain("warning: line 3 (3): prompt: is missing");
    expect(stderr).toContain("of the model's positions");
    expect(stderr).toContain("5 of 7 prompts were not answered");
    expect(calls().map(({ firstRow }) => firstRow)).toEqual([0, 6]);
  });

  it("tries prompts alone where the engine refuses them together", async () => {
    const error = Object.assign(new Error("token 315 cannot be used"), { code: "ERR_TOKENS" });
    use({ fails: { verb: "generate", error } });
    const { code, stderr } = await run(questions({ prompt: "a" }, { prompt: "b" }));
    expect(code).toBe(1);
    expect(calls().map(({ prompts }) => prompts.length)).toEqual([2, 1, 1]);
    expect(stderr).toContain("line 2 (2): token 315");
    expect(stderr).toContain("not a single prompt could be answered");
  });

  it("is answered as it comes, without more waiting than four batches", async () => {
    const stream = new PassThrough();
    stdin.stream = stream;
    const running = run("-", "--max-num-seqs", "1", "--json", "--n", "2");
    for (let index = 0; index < 4; index += 1) stream.write(`${JSON.stringify({ prompt: `${index}` })}\n`);
    await vi.waitFor(() => expect(calls()).toHaveLength(1), { timeout: 20_000 });
    stream.end(JSON.stringify({ prompt: "last" }));
    const { code, stdout } = await running;
    expect(code).toBe(0);
    expect(calls().map(({ firstRow, prompts }) => [firstRow, prompts.length])).toEqual([
      [0, 4],
      [4, 1],
    ]);
    expect(jsonLines(stdout).map(({ id, index }) => [id, index])).toEqual(
      [1, 2, 3, 4, 5].flatMap((id) => [
        [id, 0],
        [id, 1],
      ]),
    );
  });

  it("is written for people too", async () => {
    const { stdout } = await run(questions({ id: "a", prompt: "x" }), "--n", "2");
    expect(stdout).toMatch(/^--- a, 1 of 2\n.*\n--- a, 2 of 2\n/s);
  });

  it("ends when it is interrupted, while it reads and while it answers", async () => {
    const controller = new AbortController();
    stdin.stream = new PassThrough();
    const reading = runCli(["generate", "--model", MODEL, "--prompts-file", "-"], { signal: controller.signal });
    await vi.waitFor(() => expect(addon.calls.map(({ verb }) => verb)).toContain("loadModel"), { timeout: 20_000 });
    controller.abort();
    expect(await reading).toMatchObject({ code: 130, stderr: "" });
    use({ hangs: "generate" });
    const second = new AbortController();
    const args = ["generate", "--model", MODEL, "--prompts-file", questions({ prompt: "x" })];
    const answering = runCli(args, { signal: second.signal });
    await vi.waitFor(() => expect(calls()).toHaveLength(1), { timeout: 20_000 });
    second.abort();
    expect(await answering).toMatchObject({ code: 130, stdout: "", stderr: "" });
  });
});
