// Continuous batching through the addon: requests that come at random moments, wrong arguments, and ends in any order.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DecodeRequest, type Decoder, type DecodeStep, Engine, type Model } from "../../lib/engine/index.js";
import { addonPath, loadAddon, packageRoot } from "../../lib/engine/load.js";
import type { NativeDecoder, NativeModel, SamplingArgs } from "../../lib/engine/native-types.js";
import { type Message, Processor, type Prompt } from "../../lib/processing/index.js";
import { PLAIN_LOAD } from "../support/load.js";
import { stepArgs } from "../support/loss.js";

const STARTER = join(packageRoot(), "examples/food/starter");
const FOOD = join(packageRoot(), "examples/food/images");
const GREEDY: SamplingArgs = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  maxNewTokens: 24,
  stopTokens: [],
};

let engine: Engine;
let model: Model;
let prompts: Prompt[];
let stopTokens: number[];

beforeAll(async () => {
  engine = await Engine.open({ device: "cpu", threads: 2 });
  model = await engine.loadModel(STARTER);
  const processor = await Processor.load(STARTER, engine);
  const show: Message = {
    role: "user",
    content: [{ type: "image" }, { type: "text", text: "What food is this, and how many kcal?" }],
  };
  prompts = await Promise.all([
    ...["avocado", "bacon", "banana"].map((name) => processor.prompt([show], [join(FOOD, `noto/${name}.png`)])),
    processor.prompt([{ role: "user", content: "Name a fruit." }]),
  ]);
  stopTokens = [...processor.generation.stopTokens];
});
afterAll(() => engine.dispose());

/** The same numbers in every run. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const promptAt = (index: number): Prompt => {
  const prompt = prompts[index];
  if (prompt === undefined) throw new Error(`there is no prompt ${index}`);
  return prompt;
};

const request = (id: number, sampling: Partial<SamplingArgs> = {}, prompt = promptAt(3)): DecodeRequest => ({
  ...{ id, prompt, sampling: { ...GREEDY, ...sampling } },
  ...{ seed: 7, row: id, completion: 0 },
});

function mixedRequests(count: number): DecodeRequest[] {
  const draw = dice(5);
  const ways: Partial<SamplingArgs>[] = [
    { stopTokens },
    { temperature: 1, stopTokens },
    { temperature: 1.5, topK: 12, maxNewTokens: 9 },
    { temperature: 0.7, topP: 0.8, repetitionPenalty: 1.3, stopTokens },
    { temperature: 2, minP: 0.1, maxNewTokens: 1 },
  ];
  return Array.from({ length: count }, (_, id) => ({
    ...request(id, ways[draw(ways.length)], promptAt(draw(prompts.length))),
    ...{ seed: draw(3), row: draw(4), completion: draw(2) },
  }));
}

interface Answer {
  tokens: number[];
  logProbs: number[];
  finishReason?: string;
}

function collect(answers: Map<number, Answer>, { news, finished }: DecodeStep): void {
  for (const { id, token, logProb } of news) {
    const answer = answers.get(id) ?? { tokens: [], logProbs: [] };
    answer.tokens.push(token);
    answer.logProbs.push(logProb);
    answers.set(id, answer);
  }
  for (const { id, finishReason } of finished) {
    const answer = answers.get(id);
    if (answer === undefined) throw new Error(`request ${id} ended without a token`);
    expect(answer.finishReason).toBeUndefined();
    answer.finishReason = finishReason;
  }
}

async function finish(decoder: Decoder, answers = new Map<number, Answer>()): Promise<Map<number, Answer>> {
  for (;;) {
    const step = await decoder.step();
    collect(answers, step);
    if (step.active + step.waiting === 0) return answers;
  }
}

async function alone({ prompt, sampling, seed, row, completion }: DecodeRequest): Promise<Answer> {
  const [drawn] = await model.generate({ prompts: [prompt], n: completion + 1, sampling, seed, firstRow: row });
  const last = drawn?.at(-1);
  if (last === undefined) throw new Error("nothing was drawn");
  return { tokens: [...last.tokens], logProbs: [...last.logProbs], finishReason: last.finishReason };
}

describe("requests to a decoder", () => {
  it.each([0, 1, 3])("get the bits of generate, added at random moments with %d at once", async (maxRows) => {
    const requests = mixedRequests(32);
    const draw = dice(11 + maxRows);
    using decoder = model.openDecoder({ maxRows });
    const answers = new Map<number, Answer>();
    for (let next = 0; next < requests.length; ) {
      const some = requests.slice(next, next + 1 + draw(4));
      next += some.length;
      await decoder.add(some);
      for (let steps = draw(4); steps > 0; steps -= 1) {
        const step = await decoder.step({ maxMilliseconds: 0 });
        collect(answers, step);
        if (maxRows > 0) expect(step.active).toBeLessThanOrEqual(maxRows);
      }
    }
    await finish(decoder, answers);
    const expected = await Promise.all(requests.map(alone));
    for (const { id } of requests) expect(answers.get(id)).toEqual(expected[id]);
    expect(new Set(expected.map(({ finishReason }) => finishReason))).toEqual(new Set(["stop", "length"]));
  });

  it("end when they are removed, and their ids are free again", async () => {
    using decoder = model.openDecoder({ maxRows: 2 });
    await decoder.add([0, 1, 2, 3].map((id) => request(id)));
    const first = await decoder.step({ maxMilliseconds: 0 });
    expect(first).toMatchObject({ active: 2, waiting: 2, finished: [] });
    await decoder.remove([0, 2, 77]);
    await decoder.add([request(0, { maxNewTokens: 2 })]);
    const answers = await finish(decoder);
    expect([...answers.keys()].sort()).toEqual([0, 1, 3]);
    expect(answers.get(0)?.tokens).toHaveLength(2);
    expect(answers.get(1)?.tokens).toHaveLength(23);
  });

  it("lose no token where a step is aborted", async () => {
    const requests = mixedRequests(12).map((one) => ({ ...one, sampling: { ...one.sampling, maxNewTokens: 60 } }));
    using decoder = model.openDecoder();
    await decoder.add(requests);
    const answers = new Map<number, Answer>();
    let aborted = 0;
    for (let active = requests.length; active > 0; ) {
      const controller = new AbortController();
      const running = decoder.step({ maxMilliseconds: 1e6, signal: controller.signal });
      await sleep(1);
      controller.abort(new Error("enough"));
      try {
        const step = await running;
        collect(answers, step);
        active = step.active + step.waiting;
      } catch (error) {
        expect(error).toMatchObject({ message: "enough" });
        aborted += 1;
      }
    }
    expect(aborted).toBeGreaterThan(0);
    for (const one of requests) expect(answers.get(one.id)).toEqual(await alone(one));
  });

  it("return in time, and at once where there is nothing to do", async () => {
    using decoder = model.openDecoder();
    expect(await decoder.step({ maxMilliseconds: 1e9 })).toEqual({ news: [], finished: [], active: 0, waiting: 0 });
    await decoder.add([request(1, { maxNewTokens: 400 })]);
    const step = await decoder.step({ maxMilliseconds: 20 });
    expect(step.news.length).toBeGreaterThan(0);
    expect(step.news.length).toBeLessThan(400);
  });
});

describe("a decoder", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what is handed over is wrong on purpose
  type Wrong = any;
  const plain = (): Wrong => {
    const { prompt, ...rest } = request(1);
    return { ...rest, prompt: { tokens: prompt.tokens, images: [] } };
  };
  const picture = (grid: number[], numbers: number) => ({
    prompt: { tokens: Int32Array.of(1), images: [{ pixelValues: new Float32Array(numbers), grid }] },
  });
  const sampled = (field: Partial<SamplingArgs>) => ({ sampling: { ...GREEDY, ...field } });

  it.each<[string, Wrong, string, string]>([
    ["no arguments", undefined, "ERR_ARGUMENT", "add: expected an object, got undefined"],
    ["no list", { requests: 5 }, "ERR_ARGUMENT", "add: requests: expected an array"],
    ["a sparse list", { requests: new Array(4e9) }, "ERR_ARGUMENT", "requests[0]: expected a value"],
    ["a negative id", { requests: [{ id: -1 }] }, "ERR_ARGUMENT", "requests[0].id: expected an integer from 0"],
    ["an id of text", { requests: [{ id: "1" }] }, "ERR_ARGUMENT", "requests[0].id"],
    ["a huge id", { requests: [{ id: 2 ** 53 }] }, "ERR_ARGUMENT", "requests[0].id"],
    ["no prompt", { requests: [{ prompt: null }] }, "ERR_ARGUMENT", "requests[0].prompt: expected an object, got null"],
    ["no temperature", { requests: [sampled({ temperature: Number.NaN })] }, "ERR_ARGUMENT", "sampling.temperature"],
    ["hardly any temperature", { requests: [sampled({ temperature: 1e-9 })] }, "ERR_ARGUMENT", "at least 1e-4"],
    ["no top-p", { requests: [sampled({ topP: 0 })] }, "ERR_ARGUMENT", "(0, 1]"],
    ["half a token", { requests: [sampled({ maxNewTokens: 0.5 })] }, "ERR_ARGUMENT", "sampling.maxNewTokens"],
    ["a stop far away", { requests: [sampled({ stopTokens: [2 ** 31 - 1] })] }, "ERR_ARGUMENT", "stop_tokens"],
    ["a seed below 0", { requests: [{ seed: -1 }] }, "ERR_ARGUMENT", "requests[0].seed"],
    ["an infinite row", { requests: [{ row: Number.POSITIVE_INFINITY }] }, "ERR_ARGUMENT", "requests[0].row"],
    ["too few pixels", { requests: [picture([1, 2, 2], 5)] }, "ERR_SHAPE", "images[0].pixelValues: expected 4 patches"],
    ["a grid as large as can be", { requests: [picture([65536, 65536, 65536], 1)] }, "ERR_SHAPE", "pixelValues"],
    ["a picture without its tokens", { requests: [picture([1, 2, 2], 4704)] }, "ERR_TOKENS", "1 pictures, but"],
    ["an id twice", { requests: [{}, {}] }, "ERR_ARGUMENT", "id: expected one that is not in use"],
  ])("refuses %s", async (_, args, code, message) => {
    const native = loadAddon();
    const addon = new native.Engine({ device: "cpu", threads: 1, isa: "" });
    try {
      const loaded = await addon.loadModel({ ...PLAIN_LOAD, directory: STARTER }, new Int32Array(1));
      const decoder = loaded.openDecoder({ maxRows: 0, adapter: "on" });
      const filled = Array.isArray(args?.requests) && args.requests.length < 10;
      const given = filled ? { requests: args.requests.map((part: object) => ({ ...plain(), ...part })) } : args;
      const error = { code, message: expect.stringContaining(message) };
      await expect(decoder.add(given, new Int32Array(1))).rejects.toMatchObject(error);
      const step = await decoder.step({ maxMilliseconds: 0 }, new Int32Array(1));
      expect(step).toEqual({ news: [], finished: [], active: 0, waiting: 0 });
    } finally {
      addon.dispose();
    }
  });

  it("refuses wrong options, ids and times", async () => {
    const wrong = (args: Wrong) => () => model.openDecoder(args);
    expect(wrong({ maxRows: -1 })).toThrowError(expect.objectContaining({ code: "ERR_ARGUMENT" }));
    expect(wrong({ adapter: "of" })).toThrowError(expect.objectContaining({ code: "ERR_ARGUMENT" }));
    using decoder = model.openDecoder();
    await expect(decoder.remove([1.5])).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
    for (const maxMilliseconds of [-1, Number.NaN, "1" as Wrong])
      await expect(decoder.step({ maxMilliseconds })).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
    const Native = (await nativeDecoder()).decoder.constructor as new (options: unknown) => NativeDecoder;
    expect(() => new Native({})).toThrowError(expect.objectContaining({ code: "ERR_ARGUMENT" }));
  });

  const opened: (() => void)[] = [];
  afterAll(() => {
    for (const close of opened) close();
  });

  async function nativeDecoder(train: "none" | "full" = "none"): Promise<{ own: NativeModel; decoder: NativeDecoder }> {
    const own = new (loadAddon().Engine)({ device: "cpu", threads: 1, isa: "" });
    opened.push(() => own.dispose());
    const loaded = await own.loadModel({ ...PLAIN_LOAD, directory: STARTER, train }, new Int32Array(1));
    return { own: loaded, decoder: loaded.openDecoder({ maxRows: 0, adapter: "on" }) };
  }

  it("may be disposed while a step runs and others wait", async () => {
    const { decoder } = await nativeDecoder();
    const flag = () => new Int32Array(1);
    await decoder.add({ requests: [plain()] }, flag());
    const running = [decoder.step({ maxMilliseconds: 30 }, flag()), decoder.step({ maxMilliseconds: 1 }, flag())];
    decoder.dispose();
    decoder.dispose();
    await expect(decoder.step({ maxMilliseconds: 1 }, flag())).rejects.toMatchObject({ code: "ERR_STATE" });
    const steps = await Promise.all(running);
    expect(steps[0]?.news.length).toBeGreaterThan(0);
  });

  it("says so where its model, or the engine, is gone", async () => {
    const { own, decoder } = await nativeDecoder();
    const flag = () => new Int32Array(1);
    await decoder.add({ requests: [plain()] }, flag());
    const running = decoder.step({ maxMilliseconds: 0 }, flag());
    own.dispose();
    await running;
    for (const late of [decoder.add({ requests: [] }, flag()), decoder.step({ maxMilliseconds: 0 }, flag())])
      await expect(late).rejects.toMatchObject({ code: "ERR_STATE", message: "the model was disposed" });
    expect(() => own.openDecoder({ maxRows: 0, adapter: "on" })).toThrowError("openDecoder: the model was disposed");
    opened.pop()?.();
    await expect(decoder.remove({ ids: [1] }, flag())).rejects.toMatchObject({ code: "ERR_STATE" });
    decoder.dispose();
  });

  it("refuses to go on with weights that were trained meanwhile", async () => {
    const { own, decoder } = await nativeDecoder("full");
    const flag = () => new Int32Array(1);
    await decoder.add({ requests: [plain()] }, flag());
    await decoder.step({ maxMilliseconds: 0 }, flag());
    await own.step(stepArgs(1e-3), flag());
    const error = { code: "ERR_STATE", message: expect.stringContaining("weights were written while 1 requests") };
    await expect(decoder.step({ maxMilliseconds: 0 }, flag())).rejects.toMatchObject(error);
    await decoder.remove({ ids: [1] }, flag());
    await decoder.add({ requests: [plain()] }, flag());
    expect((await decoder.step({ maxMilliseconds: 0 }, flag())).news).toHaveLength(1);
  });
});

/** A module with a decoder whose model nobody else holds, and 16 long requests. */
function script(body: string): string {
  const load = JSON.stringify({ ...PLAIN_LOAD, directory: STARTER });
  return `
    import { createRequire } from "node:module";
    const addon = createRequire(${JSON.stringify(import.meta.url)})(${JSON.stringify(addonPath())});
    const flag = () => new Int32Array(1);
    const open = async () => {
      const engine = new addon.Engine({ device: "cpu", threads: 2, isa: "" });
      const model = await engine.loadModel(${load}, flag());
      return model.openDecoder({ maxRows: 0, adapter: "on" });
    };
    const sampling = { ...${JSON.stringify(GREEDY)}, maxNewTokens: 400 };
    const prompt = { tokens: Int32Array.of(1, 2, 3), images: [] };
    const requests = Array.from({ length: 16 }, (_, id) => ({ id, prompt, sampling, seed: 1, row: id, completion: 0 }));
    const decoder = await open();
    const step = (maxMilliseconds) => decoder.step({ maxMilliseconds }, flag());
    await decoder.add({ requests }, flag());
    ${body}`;
}

describe("the end of a process", () => {
  it.each([
    [
      "that keeps a decoder and not its model",
      "for (let i = 0; i < 5; i++) { global.gc(); await new Promise(setImmediate); await step(1); }",
      0,
    ],
    ["that leaves an idle decoder", "await step(5);", 0],
    [
      "that disposes of a decoder whose steps wait, and has let go of the engine,",
      `setTimeout(() => process.exit(3), 30_000).unref();
      const waiting = [step(300), step(0)];
      decoder.dispose();
      for (let i = 0; i < 5; i++) { await new Promise(setImmediate); global.gc(); }
      await Promise.all(waiting);`,
      0,
    ],
    ["that exits in the middle of a step", "step(1e6); setTimeout(() => process.exit(7), 50);", 7],
    ["that opens many and closes none", "for (let i = 0; i < 20; i++) { await open(); global.gc(); }", 0],
  ])("%s is an orderly one", async (_, body, code) => {
    const run = promisify(execFile)(process.execPath, ["--expose-gc", "--input-type=module", "-e", script(body)]);
    const outcome = await run.then(
      () => 0,
      (error: { code: number }) => error.code,
    );
    expect(outcome).toBe(code);
  });

  it("a worker may be terminated in the middle of a step", async () => {
    const body = `(await import("node:worker_threads")).parentPort.postMessage(1); await step(1e6);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script(body))}`));
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    expect(await worker.terminate()).toBe(1);
  });
});
