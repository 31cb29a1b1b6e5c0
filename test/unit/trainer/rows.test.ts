import { describe, expect, test } from "vitest";
import type { Row } from "../../../lib/data/datasets/index.js";
import { Engine } from "../../../lib/engine/index.js";
import { Processor } from "../../../lib/processing/index.js";
import { DataOrder } from "../../../lib/trainer/data-order.js";
import type { StepContext } from "../../../lib/trainer/objective.js";
import { RowSource } from "../../../lib/trainer/rows.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { MODEL, rows } from "../../support/training.js";

const onPicture = (row: Row, image: string): Row => ({
  ...row,
  messages: [{ role: "user", content: [{ type: "image" }, { type: "text", text: "what?" }] }],
  images: [image],
});

async function open(given: readonly Row[], { augment = false, maxPromptTokens = 60 } = {}) {
  const engine = await Engine.open({ addon: fakeAddon() });
  const processor = await Processor.load(MODEL, engine);
  let prompts = 0;
  const make = processor.prompt.bind(processor);
  processor.prompt = (...args) => {
    prompts += 1;
    return make(...args);
  };
  const source = new RowSource(given, processor, {
    promptSuffix: "",
    maxPromptTokens,
    seed: 1,
    augment,
    alpha: "white",
  });
  const warnings: string[] = [];
  const context: StepContext = { onProgress: () => {}, warn: (message) => void warnings.push(message) };
  return { source, context, warnings, prompts: () => prompts };
}

describe("the rows of a step", () => {
  test("are all but the bad and the overlong ones, which are named once each", async () => {
    const given = rows(6);
    given[1] = onPicture(given[1]!, "/gone.png");
    given[4] = { ...given[4]!, messages: [{ role: "user", content: "long ".repeat(100) }] };
    const order = new DataOrder({ files: [6], seed: 1, shuffle: true });
    const { source, context, warnings } = await open(given);
    const taken = await source.take(order.take(0, 6), context);
    expect(taken.map(({ row }) => row.id).sort()).toEqual(["row-0", "row-2", "row-3", "row-5"]);
    await source.take(order.take(6, 9), context);
    expect([...warnings].sort()).toEqual([
      expect.stringMatching(/^row row-1 is left out: .*gone\.png/),
      expect.stringMatching(/^row row-4 is left out: the prompt has \d+ tokens/),
    ]);
  });

  test("end the run where every row is bad or overlong", async () => {
    const [one, two] = rows(2) as [Row, Row];
    const given = [
      onPicture(one, "/gone.png"),
      { ...two, messages: [{ role: "user" as const, content: "long ".repeat(100) }] },
    ];
    const { source, context } = await open(given);
    const places = new DataOrder({ files: [2], seed: 1, shuffle: false }).take(0, 2);
    await expect(source.take(places, context)).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/none of the 2 rows/),
    });
  });

  test("that were read ahead are kept until they are taken, and made once", async () => {
    const order = new DataOrder({ files: [12], seed: 1, shuffle: true });
    const { source, context, prompts } = await open(rows(12));
    source.prefetch(order.take(0, 4));
    source.prefetch(order.take(4, 4));
    expect(prompts()).toBe(8);
    await source.take(order.take(0, 4), context);
    await source.take(order.take(4, 2), context);
    await source.take(order.take(6, 2), context);
    expect(prompts()).toBe(8);
    // What was passed over is forgotten, and would be made again.
    source.prefetch(order.take(8, 2));
    await source.take(order.take(10, 2), context);
    await source.take(order.take(8, 2), context);
    expect(prompts()).toBe(14);
  });

  test("look new whenever they come, also twice in an epoch, and the same in the same place", async () => {
    const picture = goldenPath("images/square.png");
    const given = rows(2).map((row) => onPicture(row, picture));
    const order = new DataOrder({ files: [1, 1], weights: [1, 0], seed: 1, shuffle: true });
    const places = order.take(0, 3);
    expect(places).toMatchObject([
      { row: 0, epoch: 0, pass: 0 },
      { row: 0, epoch: 0, pass: 1 },
      { row: 0, epoch: 1, pass: 2 },
    ]);
    const seen = async () => {
      const engine = await Engine.open({ addon: fakeAddon() });
      const processor = await Processor.load(MODEL, engine);
      const pixels: string[] = [];
      const make = processor.prompt.bind(processor);
      processor.prompt = (messages, images = [], options) => {
        pixels.push(Buffer.from(images[0] as Uint8Array).toString("base64"));
        return make(messages, images, options);
      };
      const options = { promptSuffix: "", maxPromptTokens: 1000, seed: 1, augment: true, alpha: "white" as const };
      const source = new RowSource(given, processor, options);
      for (const place of places) await source.take([place], { onProgress: () => {}, warn: () => {} });
      return pixels;
    };
    const first = await seen();
    expect(new Set(first).size).toBe(3);
    expect(await seen()).toEqual(first);
  });
});
