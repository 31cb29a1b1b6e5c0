import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../lib/engine/index.js";
import { type Message, Processor, type Prompt } from "../../lib/processing/index.js";
import { runCli } from "../support/cli.js";
import { goldenJson, goldenPath } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";

interface Shape {
  width: number;
  height: number;
  error?: string;
  grid: [number, number, number];
  count: number;
  samples: number[];
}

const MODELS = ["qwen2_5_vl_a", "qwen2_5_vl_b", "qwen2_vl_a", "qwen2_vl_b"];
const { shapes } = goldenJson<{ shapes: Shape[] }>("formats/formats.json");
const folder = temporaryFolder();

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open({ device: "cpu", threads: 1 });
});
afterAll(() => engine.dispose());

/** The golden script's picture: (3x + 5y + 40c) mod 256. */
function pictureOf(width: number, height: number): Promise<Buffer> {
  const rgb = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) rgb[(y * width + x) * 3 + c] = (3 * x + 5 * y + 40 * c) % 256;
    }
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

describe("pictures of any shape give the Hugging Face processor's values", () => {
  test.each(shapes)("$width × $height", async ({ width, height, error, grid, count, samples }) => {
    const limits = { minPixels: 3136, maxPixels: 100352 };
    const processor = await Processor.load(goldenPath("qwen2_5_vl_a"), engine, limits);
    const making = processor.picture(await pictureOf(width, height));
    if (error !== undefined) {
      await expect(making).rejects.toMatchObject({ code: "ERR_IMAGE", message: expect.stringMatching(/at most 200/) });
      return;
    }
    const { image, tokens } = await making;
    expect([image.grid, image.pixelValues.length, tokens]).toEqual([grid, count, (grid[1] * grid[2]) / 4]);
    for (const [k, expected] of samples.entries()) {
      const value = image.pixelValues[Math.floor((k * (count - 1)) / (samples.length - 1))] ?? Number.NaN;
      expect(Math.abs(value - expected)).toBeLessThanOrEqual(2e-7);
    }
  });
});

const picture = { type: "image" } as const;
const text = (value: string) => ({ type: "text" as const, text: value });

/** A row without pictures, one with a picture, one with three in a turn and a fourth in the next. */
async function mixedPrompts(processor: Processor): Promise<Prompt[]> {
  const [small, wide, tall] = await Promise.all([pictureOf(30, 20), pictureOf(300, 40), pictureOf(33, 180)]);
  const ask = (content: Message["content"]): Message => ({ role: "user", content });
  return Promise.all([
    processor.prompt([ask("How much is 2 + 2?")]),
    processor.prompt([ask([picture, text("What is it?")])], [wide]),
    processor.prompt(
      [
        ask([text("Compare "), picture, picture, text(" with "), picture]),
        { role: "assistant", content: "<answer>apple 52</answer>" },
        ask([picture, text("And this?")]),
      ],
      [small, tall, wide, small],
    ),
    processor.prompt([{ role: "system", content: "Be brief." }, ask([text("Nothing to see.")])]),
  ]);
}

describe.each(MODELS)("text, one picture and several in one batch of %s", (name) => {
  test("give the bits that each row gives alone: scores and sampled tokens", async () => {
    const processor = await Processor.load(goldenPath(name), engine, { minPixels: 3136, maxPixels: 12544 });
    const model = await engine.loadModel(goldenPath(name));
    try {
      const prompts = await mixedPrompts(processor);
      expect(prompts.map(({ images }) => images.length)).toEqual([0, 1, 4, 0]);
      const groups = prompts.map((prompt, row) => ({
        prompt,
        completions: [Int32Array.of(5 + row, 60, 7), Int32Array.of(9, 80 + row)],
      }));
      const together = await model.logProbs({ groups });
      const alone = await Promise.all(groups.map((group) => model.logProbs({ groups: [group] })));
      expect(together).toEqual(alone.map(([scores]) => scores));
      const backwards = await model.logProbs({ groups: groups.toReversed() });
      expect(backwards).toEqual(together.toReversed());
      expect(new Set(together.flat().map(({ logProbs }) => logProbs[0])).size).toBe(8);

      const sampling = { maxNewTokens: 6, temperature: 1 };
      const sampled = await model.generate({ prompts, n: 2, sampling, seed: 3 });
      for (const [row, prompt] of prompts.entries()) {
        const [own] = await model.generate({ prompts: [prompt], n: 2, sampling, seed: 3, firstRow: row });
        expect(sampled[row]).toEqual(own);
      }
    } finally {
      model.dispose();
    }
  });
});

/** Eight rows of the food data in a folder of their own; those in `broken` get what the name says for a picture. */
function dataset(name: string, broken: Record<number, string>): string {
  const path = join(folder, name);
  mkdirSync(join(path, "images"), { recursive: true });
  const rows = Array.from({ length: 8 }, (_, index) => {
    const file = join("images", `${index}.png`);
    copyFileSync(goldenPath(`formats/${broken[index] ?? `orientation-${index + 1}.png`}`), join(path, file));
    return {
      id: `row-${index}`,
      image: file,
      conversations: [
        { from: "human", value: "<image>What is it?" },
        { from: "gpt", value: "<answer>apple 52</answer>" },
      ],
    };
  });
  writeFileSync(join(path, "train.json"), JSON.stringify(rows));
  return join(path, "train.json");
}

let runs = 0;
function train(command: string, data: string, steps: number) {
  const sampling = command === "train" ? ["--num-generations", "2", "--max-completion-length", "4"] : [];
  return runCli([
    command,
    ...["--model", goldenPath("qwen2_5_vl_a"), "--dataset", data, "--output-dir", join(folder, `run-${runs++}`)],
    ...["--device=cpu", "--threads", "1", "--prompts-per-step", "2", "--max-steps", String(steps), ...sampling],
  ]);
}

describe("a data set with broken pictures", () => {
  test("three of eight are named and counted, and the run goes on", async () => {
    const data = dataset("some", { 1: "half.jpg", 4: "page.jpg", 6: "bomb.png" });
    const { code, stderr } = await train("train", data, 8);
    expect(code).toBe(0);
    const warnings = stderr.split("\n").filter((line) => line.includes("is left out"));
    expect(warnings).toHaveLength(3);
    for (const [id, reason] of [
      ["row-1", "damaged or truncated"],
      ["row-4", "HTML"],
      ["row-6", "million pixels"],
    ] as const) {
      expect(stderr).toMatch(new RegExp(`row ${id} is left out: .*${reason}`));
    }
    expect(warnings.map((line) => /\((\d) so far\)/.exec(line)?.[1])).toEqual(["1", "2", "3"]);
  });

  test("all of eight: the run fails, and says that none could be used", async () => {
    const data = dataset("all", Object.fromEntries(Array.from({ length: 8 }, (_, index) => [index, "half.png"])));
    for (const command of ["train", "sft"]) {
      const { code, stderr } = await train(command, data, 20);
      expect(code).toBe(1);
      expect(stderr).toMatch(/none of the 8 rows could be used/);
      expect(stderr).toMatch(/damaged or truncated/);
    }
  });

  test("a run too short to meet a good row fails too", async () => {
    const data = dataset("short", Object.fromEntries(Array.from({ length: 8 }, (_, index) => [index, "half.webp"])));
    const { code, stderr } = await train("train", data, 2);
    expect(code).toBe(1);
    expect(stderr).toMatch(/none of the rows of 2 steps could be used/);
  });

  test("files that are missing or empty are left out before the run starts", async () => {
    const data = dataset("empty", { 2: "empty.png" });
    const { code, stderr } = await train("train", data, 1);
    expect(code).toBe(0);
    expect(stderr).toMatch(/left out: .*row-2.*is empty/);
  });
});
