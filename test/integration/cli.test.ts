import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { jsonLines } from "../support/cli.js";
import { goldenJson, goldenPath, maxDifference, readTensors } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const FOOD = fileURLToPath(new URL("../../examples/food/tokenizer", import.meta.url));
const DATA = goldenPath("conversations.json");
const folder = temporaryFolder();

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
  const result: Result = { code: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    result.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    result.stderr += text;
  });
  const done = new Promise<Result>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...result, code }));
  });
  return { child, result, done };
}

async function run(args: string[], env: Record<string, string> = {}): Promise<Result> {
  const { child, done } = start(args, env);
  child.stdin.end();
  return done;
}

/** Runs a command that must succeed. */
async function succeed(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await run(args, env);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return stdout;
}

beforeAll(() => {
  if (!existsSync(MAIN)) throw new Error("dist/ is missing: run `npm run build` first");
});

describe("the command line", () => {
  it("prints the package's version", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(await succeed(["--version"])).toBe(`${version}\n`);
  });

  it.each([
    [["generate", "--model", "x"], 2, "ERR_USAGE"],
    [["generate", "--modle", "x"], 2, "Did you mean --model?"],
    [["score", "--model", "x", "--data", "none.json"], 1, "ERR_NOT_FOUND"],
    [["nonsense"], 2, "unknown command"],
  ])("%j ends with %d", async (args, code, message) => {
    const result = await run(args);
    expect(result.stderr).toContain(message);
    expect(result).toMatchObject({ code, stdout: "" });
  });

  it("ends with 130 on SIGINT", { retry: 2 }, async () => {
    const { child, result, done } = start(["generate", "--model", goldenPath("qwen2_5_vl_a"), "--prompt", "-"]);
    // It waits for its standard input; a signal before it listens would end it by the system's own rule.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.kill("SIGINT");
    expect((await done).code).toBe(130);
    expect(result.stderr).toContain("interrupted");
  });

  it("finds a working machine", async () => {
    const report = JSON.parse(await succeed(["doctor", "--json"])) as { ok: boolean; checks: { name: string }[] };
    expect(report.ok).toBe(true);
    expect(report.checks.map(({ name }) => name)).toContain("threads");
  });
});

describe.each(["qwen2_5_vl_a", "qwen2_5_vl_b", "qwen2_vl_a", "qwen2_vl_b"])("score and generate with %s", (name) => {
  const model = goldenPath(name);
  const golden = goldenJson<{
    prompts: { id: string; token_ids: number[]; prompt_token_ids: number[]; logprobs: number[] }[];
  }>(`${name}/prompts.json`).prompts;

  it("scores as transformers does, with gradients and without", async () => {
    const args = ["score", "--model", model, "--data", DATA, "--json"];
    const gradients = join(folder, `${name}.safetensors`);
    const plain = jsonLines(await succeed(args));
    const withGradients = jsonLines(await succeed([...args, "--gradients", gradients]));
    for (const rows of [plain, withGradients]) {
      expect(rows.map(({ id, token_ids: ids }) => [id, ids])).toEqual(
        golden.map(({ id, token_ids: ids }) => [id, ids]),
      );
      for (const [index, row] of rows.entries()) {
        expect(maxDifference(row.logprobs as number[], golden[index]?.logprobs ?? [])).toBeLessThan(5e-5);
      }
    }
    const shapes = (path: string) => Object.fromEntries([...readTensors(path)].map(([key, { shape }]) => [key, shape]));
    expect(shapes(gradients)).toEqual(shapes(join(model, "model.safetensors")));
  });

  it("writes the gradient of the mean: doubled rows change nothing", async () => {
    const rows = (JSON.parse(readFileSync(DATA, "utf8")) as { conversations: unknown }[]).slice(2, 3);
    const gradientOf = async (key: string, content: unknown[]) => {
      const data = join(folder, `${name}-${key}.json`);
      writeFileSync(data, JSON.stringify(content));
      const out = join(folder, `${name}-${key}.safetensors`);
      await succeed(["score", "--model", model, "--data", data, "--json", "--gradients", out]);
      return readTensors(out);
    };
    const once = await gradientOf("once", rows);
    const twice = await gradientOf("twice", [...rows, ...rows]);
    let largest = 0;
    for (const [key, { data }] of once) {
      for (const value of data) largest = Math.max(largest, Math.abs(value));
      expect(maxDifference(data, twice.get(key)?.data ?? [])).toBeLessThan(1e-5);
    }
    expect(largest).toBeGreaterThan(1e-3);
  });

  it("generates the same again, whatever the threads", async () => {
    const image = goldenPath("images/square.png");
    const args = [
      "generate",
      "--model",
      model,
      "--image",
      image,
      "--prompt",
      "What is it?",
      "--max-new-tokens",
      "12",
      "--json",
    ];
    const sampled = [...args, "--temperature", "1", "--seed", "3", "--n", "3"];
    const one = jsonLines(await succeed(sampled, { VLMR1_THREADS: "1" }));
    const two = jsonLines(await succeed(sampled, { VLMR1_THREADS: "2" }));
    expect(one).toHaveLength(3);
    expect(two).toEqual(one);
    const [greedy] = jsonLines(await succeed([...args, "--temperature", "0"]));
    expect(Object.keys(greedy ?? {})).toEqual(["text", "token_ids", "logprobs", "finish_reason", "prompt_token_ids"]);
    const lengths = [greedy?.logprobs, greedy?.token_ids].map((list) => (list as number[]).length);
    expect(lengths[0]).toBe(lengths[1]);
    expect(await succeed([...args, "--temperature", "0"])).toBe(`${JSON.stringify(greedy)}\n`);
  });
});

describe("init-model", () => {
  it("writes a folder that runs, the same bytes for the same seed", async () => {
    const make = async (key: string, seed: string) => {
      const out = join(folder, key);
      await succeed(["init-model", "--preset", "tiny", "--tokenizer", FOOD, "--out", out, "--seed", seed]);
      return readFileSync(join(out, "model.safetensors"));
    };
    const first = await make("first", "7");
    expect((await make("again", "7")).equals(first)).toBe(true);
    expect((await make("other", "8")).equals(first)).toBe(false);
    const args = ["--prompt", "吃什么?", "--max-new-tokens", "4", "--temperature", "0", "--json"];
    const [completion] = jsonLines(await succeed(["generate", "--model", join(folder, "first"), ...args]));
    expect(completion?.token_ids).not.toHaveLength(0);
  });
});
