import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Engine, type GenerateOptions, type Model } from "../../lib/engine/index.js";
import { Processor } from "../../lib/processing/index.js";
import { goldenPath } from "../support/golden.js";

const DIRECTORY = goldenPath("qwen2_5_vl_a");
const IMAGE_TOKEN = 314;
const VIDEO_TOKEN = 315;
/** Long enough to be caught in the act on any machine. */
const LONG = { n: 512, sampling: { maxNewTokens: 450 } };

let engine: Engine;
let model: Model;
let processor: Processor;

beforeEach(async () => {
  engine = await Engine.open({ device: "cpu", threads: 2 });
  processor = await Processor.load(DIRECTORY, engine);
  model = await engine.loadModel(DIRECTORY);
});
afterEach(() => engine.dispose());

const question = () => processor.prompt([{ role: "user", content: "2 + 2?" }]);

describe("the real addon", () => {
  it("stops within a moment of an abort, with the signal's reason, and goes on working", async () => {
    const controller = new AbortController();
    const running = model.generate({ prompts: [await question()], ...LONG, signal: controller.signal });
    const settled = running.then(
      () => "finished",
      (error: unknown) => error,
    );
    await sleep(50);
    const before = process.cpuUsage();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await settled).toBe(reason);
    // Of the processor's time, which other programs take nothing of: two threads, 50 ms each, and slack.
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(0.25);
    const again = await model.generate({ prompts: [await question()], sampling: { maxNewTokens: 3 } });
    expect(again[0]?.[0]?.tokens.length).toBeGreaterThan(0);
  });

  it("takes no core while it has nothing to do", async () => {
    await model.generate({ prompts: [await question()], sampling: { maxNewTokens: 3 } });
    // Its workers may look out for more for a moment.
    await sleep(50);
    const before = process.cpuUsage();
    await sleep(2000);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(0.2);
  });

  it("rejects what still waits when the engine is disposed", async () => {
    const running = model.generate({ prompts: [await question()], ...LONG });
    const waiting = model.logProbs({ groups: [{ prompt: await question(), completions: [Int32Array.of(5)] }] });
    const settled = Promise.allSettled([running, waiting]);
    await sleep(20);
    engine.dispose();
    const outcomes = await settled;
    const state = { status: "rejected", reason: expect.objectContaining({ name: "VlmR1Error", code: "ERR_STATE" }) };
    expect(outcomes).toEqual([state, state]);
  });

  it("never samples a picture's token", async () => {
    const [completions = []] = await model.generate({
      prompts: [await question()],
      n: 64,
      sampling: { maxNewTokens: 60, temperature: 3 },
    });
    const seen = new Set(completions.flatMap(({ tokens }) => [...tokens]));
    expect(seen.size).toBeGreaterThan(250);
    expect(seen).not.toContain(IMAGE_TOKEN);
    expect(seen).not.toContain(VIDEO_TOKEN);
  });

  it("draws the same completions however many are under way at once, and says what it was given wrong", async () => {
    const ask = (maxRows: number, onProgress?: GenerateOptions["onProgress"]) =>
      model.generate({
        prompts,
        n: 3,
        maxRows,
        seed: 4,
        onProgress,
        sampling: { maxNewTokens: 30, stopTokens: [5, 50, 150, 250] },
      });
    const prompts = [await question(), await question()];
    const all = await ask(0);
    for (const maxRows of [1, 2, 4]) expect(await ask(maxRows)).toEqual(all);
    let told = 0;
    await ask(2, ({ finished }) => {
      told = finished;
    });
    expect(told).toBe(6);
    const message = expect.stringContaining("maxRows: expected an integer from 0");
    await expect(ask(-1)).rejects.toMatchObject({ code: "ERR_ARGUMENT", message });
    await expect(ask(0.5)).rejects.toMatchObject({ code: "ERR_ARGUMENT", message });
  });

  it("reports progress up to the last token", async () => {
    const seen: number[] = [];
    const sampling = { maxNewTokens: 8 };
    const onProgress = ({ tokens, total }: { tokens: number; total: number }) => seen.push(tokens, total);
    const [completions = []] = await model.generate({ prompts: [await question()], n: 2, sampling, onProgress });
    const tokens = completions.reduce((sum, completion) => sum + completion.tokens.length, 0);
    expect(seen.at(-1)).toBe(2);
    expect(seen.at(-2)).toBe(tokens);
  });

  it("names a folder without a model", async () => {
    const loading = engine.loadModel(goldenPath("images"));
    await expect(loading).rejects.toMatchObject({
      name: "VlmR1Error",
      message: expect.stringContaining("config.json"),
    });
  });

  it.each([
    ["an id beyond the vocabulary", Int32Array.of(1, 9999)],
    ["an image token without its picture", Int32Array.of(1, IMAGE_TOKEN)],
    ["no tokens", new Int32Array()],
  ])("refuses a prompt with %s", async (_, tokens) => {
    const running = model.generate({ prompts: [{ tokens, images: [] }], sampling: { maxNewTokens: 2 } });
    await expect(running).rejects.toMatchObject({
      name: "VlmR1Error",
      code: expect.stringMatching(/^ERR_(TOKENS|SHAPE|ARGUMENT)$/),
    });
  });
});
