import { dirname } from "node:path";
import OpenAI from "openai";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { Tokenizer } from "../../../lib/processing/index.js";
import { serve } from "../../../lib/serve/index.js";
import {
  answeringAddon,
  END,
  endless,
  eventually,
  HELLO,
  hashAnswer,
  MODEL,
  post,
  SQUARE,
  start,
} from "./fake-server.js";

let addon = answeringAddon(() => [END]);
let tokenizer: Tokenizer;
let letter: number;

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

beforeAll(async () => {
  tokenizer = await Tokenizer.load(MODEL);
  letter = tokenizer.encode("a")[0]!;
});
beforeEach(() => {
  addon = answeringAddon(hashAnswer(tokenizer));
});

/** Endless answers, slow enough that what a test does falls into them. */
function drawSlowly(): void {
  addon = answeringAddon(endless(letter));
  addon.steps.milliseconds = 5;
}

describe("too many requests", () => {
  test("are refused, and may come again", async () => {
    drawSlowly();
    const { client, server } = await start({ maxNumSeqs: 1, maxQueueLen: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const running = [1, 2].map(() => client.chat.completions.create(HELLO, { signal }).catch(() => undefined));
    await eventually(() => expect(addon.requests).toHaveLength(2));
    await expect(client.chat.completions.create(HELLO)).rejects.toThrowError(OpenAI.RateLimitError);
    expect((await post(server, JSON.stringify(HELLO))).headers.get("retry-after")).toBe("1");
    controller.abort();
    await Promise.all(running);
    await eventually(() => expect(addon.removed).toHaveLength(2));
    expect((await client.chat.completions.create({ ...HELLO, max_tokens: 2 })).choices).toHaveLength(1);
  });
});

describe("requests with pictures", () => {
  test("are decoded only when their turn is near, and leave the queue with their client", async () => {
    drawSlowly();
    const { server, client } = await start({ maxNumSeqs: 1, imageFolder: dirname(SQUARE) });
    const content = [{ type: "image_url" as const, image_url: { url: "square.png" } }];
    const withPicture = { model: "m", messages: [{ role: "user" as const, content }] };
    const controllers = Array.from({ length: 5 }, () => new AbortController());
    const asked = controllers.map(({ signal }) => client.chat.completions.create(withPicture, { signal }));
    const settled = Promise.allSettled(asked);
    const waiting = async () => {
      const text = await (await fetch(new URL("/metrics", server.url))).text();
      return Number(/completions_waiting (\d+)/.exec(text)?.[1]);
    };
    await eventually(async () => expect(await waiting()).toBe(4));
    expect(addon.requests).toHaveLength(3);
    // A text takes no such memory and is not held up at their gate.
    const text = client.chat.completions.create({ ...HELLO, max_tokens: 1 });
    await eventually(() => expect(addon.requests).toHaveLength(4));
    controllers[4]!.abort();
    await eventually(async () => expect(await waiting()).toBe(4));
    controllers[0]!.abort();
    await eventually(() => expect(addon.requests).toHaveLength(5));
    for (const controller of controllers) controller.abort();
    await text;
    await settled;
  });
});

describe("stopping", () => {
  test("lets what is under way end, and takes no more", async () => {
    drawSlowly();
    const { server, client } = await start({ shutdownTimeout: 20 });
    const running = client.chat.completions.create({ ...HELLO, max_tokens: 60 });
    await eventually(() => expect(addon.requests).toHaveLength(1));
    const closing = server.close();
    expect(server.close()).toBe(closing);
    await expect(client.chat.completions.create(HELLO)).rejects.toThrowError(OpenAI.APIError);
    expect((await running).choices[0]?.message.content).toBe("a".repeat(60));
    await closing;
    await server.closed;
    expect(addon.calls.map(({ verb }) => verb)).toContain("engine.dispose");
  });

  test("ends what takes too long, streams too", async () => {
    drawSlowly();
    const controller = new AbortController();
    const { server, client } = await start({ shutdownTimeout: 0.05, signal: controller.signal });
    const whole = client.chat.completions.create(HELLO);
    const stream = await client.chat.completions.create({ ...HELLO, stream: true });
    controller.abort();
    await expect(whole).rejects.toMatchObject({ status: 503, code: "shutting_down" });
    const reading = (async () => {
      for await (const _ of stream);
    })();
    await expect(reading).rejects.toThrowError(/being stopped/);
    await server.closed;
    await expect(fetch(server.url)).rejects.toThrowError();
  });
});

describe("a server that cannot start", () => {
  test.each([
    [{ host: "0.0.0.0" }, "ERR_CONFIG", "can be reached by other machines"],
    [{ maxModelLen: 513 }, "ERR_CONFIG", "at most the model's 512"],
    [{ imageFolder: "no/such/folder" }, "ERR_NOT_FOUND", "image folder"],
    [{ model: "no/such/model" }, "ERR_NOT_FOUND", "no/such/model"],
    [{ host: "192.0.2.1", apiKey: "k" }, "ERR_NETWORK", "no such address"],
    [{ maxNumSeq: 4 }, "ERR_CONFIG", "max_num_seqs"],
  ])("says why: %j", async (options, code, message) => {
    const failed = await serve({ model: MODEL, port: 0, ...options }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code });
    expect(`${(failed as Error).message} ${(failed as { hint?: string }).hint}`).toContain(message);
  });

  test("knows a port in use before it loads the model, and leaves it free after a failure", async () => {
    const { server } = await start();
    addon.calls.length = 0;
    const second = serve({ model: MODEL, port: server.port });
    await expect(second).rejects.toMatchObject({ code: "ERR_PORT_IN_USE", message: expect.stringContaining("in use") });
    expect(addon.calls).toEqual([]);
    await server.close();
    await expect(serve({ model: "none", port: server.port })).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await start({ port: server.port });
  });
});
