import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { presets } from "../../lib/config/index.js";
import { Engine } from "../../lib/engine/index.js";
import { prepareModelFolder } from "../../lib/processing/index.js";
import { jsonLines, runCli } from "../support/cli.js";
import { goldenPath } from "../support/golden.js";
import { PUBLISHED } from "../support/presets.js";
import { makeQwenFolder } from "../support/qwen.js";
import { temporaryFolder } from "../support/temporary.js";

const folder = temporaryFolder();
const QWEN = join(folder, "qwen");
const FOOD = goldenPath("../../examples/food/tokenizer");

let engine: Engine;
beforeAll(async () => {
  makeQwenFolder(QWEN);
  engine = await Engine.open({ device: "cpu", threads: 1 });
});
afterAll(() => engine.dispose());

test.each(PUBLISHED)("%s has the engine's parameters that it has in transformers", async (name, ...numbers) => {
  const [, , , visionParameters, parameters] = numbers;
  const config = presets[name]?.config as Record<string, unknown>;
  const text = await prepareModelFolder({ config, tokenizer: FOOD, out: join(folder, name) });
  const described = engine.describeModel(text);
  const vision = described.parameters.filter(({ part }) => part !== "language");
  const total = (of: typeof vision) =>
    of.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0);
  expect([total(vision), total(described.parameters)]).toEqual([visionParameters, parameters]);
  expect(described.info.parameters).toBe(parameters);
});

describe("init-model", () => {
  test.each(["tiny", "tiny-qwen2-vl"])("%s with Qwen's vocabulary answers about a picture", async (preset) => {
    const out = join(folder, `made-${preset}`);
    const made = await runCli(["init-model", "--preset", preset, "--tokenizer", QWEN, "--out", out, "--device=cpu"]);
    expect(made.code).toBe(0);
    const args = [
      "--image",
      goldenPath("images/photo.jpg"),
      "--max-pixels",
      "12544",
      "--max-new-tokens",
      "5",
      "--json",
    ];
    const answered = await runCli(["generate", "--model", out, "--device=cpu", "--prompt", "What is it? 🍜", ...args]);
    expect(answered.stderr).toBe("");
    const answers = jsonLines(answered.stdout);
    expect(answers).toHaveLength(1);
    expect(answers[0]?.token_ids).not.toHaveLength(0);
  });
});
