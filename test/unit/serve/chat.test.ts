import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import OpenAI from "openai";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { Tokenizer } from "../../../lib/processing/index.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { temporaryFolder } from "../../support/temporary.js";
import {
  type Answer,
  answeringAddon,
  END,
  endless,
  eventually,
  hashAnswer,
  MODEL,
  SQUARE,
  start,
} from "./fake-server.js";

let addon = answeringAddon(() => [END]);
let tokenizer: Tokenizer;

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

const says = (text: string): Answer => {
  const tokens = [...tokenizer.encode(text), END];
  return () => tokens;
};
const use = (answer: Answer) => {
  addon = answeringAddon(answer);
};
const user = (content: string) => [{ role: "user" as const, content }];
const picture = (url: string) => ({ type: "image_url" as const, image_url: { url } });
const dataUrl = `data:image/png;base64,${readFileSync(SQUARE).toString("base64")}`;

beforeAll(async () => {
  tokenizer = await Tokenizer.load(MODEL);
});
beforeEach(() => use(hashAnswer(tokenizer)));

describe("a chat completion", () => {
  test("has OpenAI's form, with usage", async () => {
    use(says("Hello 🦀!"));
    const { client } = await start();
    const completion = await client.chat.completions.create({ model: "m", messages: user("Hi") });
    expect(completion).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "m",
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{12}$/),
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello 🦀!", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: {
        prompt_tokens: addon.requests[0]!.prompt.tokens.length,
        completion_tokens: tokenizer.encode("Hello 🦀!").length + 1,
        total_tokens: expect.any(Number),
      },
    });
    const { usage, created } = completion;
    expect(usage?.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens);
    expect(Math.abs(created - Date.now() / 1000)).toBeLessThan(60);
  });

  test("streams the same text, in pieces of whole characters, with the usage where it is asked for", async () => {
    use(says("one 🦀 two"));
    const { client } = await start();
    const body = { model: "m", messages: user("Hi"), stream: true as const };
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({
      ...body,
      stream_options: { include_usage: true },
    })) {
      chunks.push(chunk);
    }
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    expect(deltas[0]).toEqual({ role: "assistant", content: "" });
    const pieces = deltas.slice(1).map(({ content }) => content ?? "");
    expect(pieces.join("")).toBe("one 🦀 two");
    expect(pieces.filter((piece) => piece.includes("🦀"))).toHaveLength(1);
    expect(pieces.length).toBeGreaterThan(4);
    expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: "stop" });
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: 1 + tokenizer.encode("one 🦀 two").length },
    });
    expect(chunks.slice(0, -1).map(({ usage }) => usage)).toEqual(chunks.slice(1).map(() => null));
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    for await (const chunk of await client.chat.completions.create(body)) expect(chunk).not.toHaveProperty("usage");
  });

  test("reads pictures: as data, and from the image folder", async () => {
    const { client } = await start({ imageFolder: dirname(SQUARE) });
    const ask = async (...urls: string[]) => {
      const content = [...urls.map(picture), { type: "text" as const, text: "What is it?" }];
      await client.chat.completions.create({ model: "m", messages: [{ role: "user", content }] });
      const { prompt } = addon.requests.at(-1)!;
      return { pictures: prompt.images.length, pads: prompt.tokens.filter((token) => token === 314).length };
    };
    expect(await ask(dataUrl)).toEqual({ pictures: 1, pads: 16 });
    expect(await ask(dataUrl, "square.png", `file://${SQUARE}`)).toEqual({ pictures: 3, pads: 48 });
  });

  test("gives several choices, the same for the same seed, others without one", async () => {
    const { client } = await start();
    const ask = async (fields: object) => {
      const { choices } = await client.chat.completions.create({ model: "m", messages: user("Hi"), n: 3, ...fields });
      return choices.map(({ message }) => message.content);
    };
    const first = await ask({ seed: 7 });
    expect(new Set(first).size).toBe(3);
    expect(await ask({ seed: 7 })).toEqual(first);
    expect(await ask({ seed: 8 })).not.toEqual(first);
    expect(await ask({})).not.toEqual(await ask({}));
    const [{ seed, row, completion }] = addon.requests.slice(-1) as [(typeof addon.requests)[0]];
    expect({ seed, row, completion }).toEqual({ seed: 0, row: 4, completion: 2 });
  });

  test("takes the sampling of the request over the model's", async () => {
    const { client } = await start();
    const vllm = { top_k: 5, min_p: 0.1, repetition_penalty: 1.1 };
    const own = { temperature: 0.5, top_p: 0.9, max_completion_tokens: 9, max_tokens: 3 };
    await client.chat.completions.create({ model: "m", messages: user("Hi"), ...own, ...vllm } as never);
    await client.chat.completions.create({ model: "m", messages: user("Hi") });
    const [given, plain] = addon.requests.map(({ sampling }) => sampling);
    expect(given).toEqual({
      ...{ temperature: 0.5, topK: 5, topP: 0.9, minP: 0.1, repetitionPenalty: 1.1 },
      ...{ maxNewTokens: 9, stopTokens: [END] },
    });
    // Without a limit, up to the model's 512 positions.
    expect(plain?.maxNewTokens).toBe(512 - addon.requests[1]!.prompt.tokens.length);
  });

  test("ends in front of a stop string, streamed or not, and draws no more", async () => {
    use(says(`the answer</answer>${" more".repeat(20)}`));
    const { client } = await start();
    const body = { model: "m", messages: user("Hi"), stop: ["</answer>", "never"] };
    const { choices, usage } = await client.chat.completions.create(body);
    expect(choices[0]).toMatchObject({ message: { content: "the answer" }, finish_reason: "stop" });
    expect(usage?.completion_tokens).toBe(tokenizer.encode("the answer</answer>").length);
    expect(addon.removed).toEqual([0]);
    let text = "";
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
      text += choices[0]?.delta.content ?? "";
      expect("the answer".startsWith(text)).toBe(true);
    }
    expect(text).toBe("the answer");
  });

  test("says that it was cut", async () => {
    use(says("one two three four"));
    const { client } = await start();
    const { choices } = await client.chat.completions.create({ model: "m", messages: user("Hi"), max_tokens: 2 });
    expect(choices[0]?.finish_reason).toBe("length");
  });

  test("has log-probabilities of its tokens", async () => {
    use(says("ab"));
    const { client } = await start();
    const body = { model: "m", messages: user("Hi"), logprobs: true };
    const expected = tokenizer.encode("ab").map((token) => {
      const text = tokenizer.decode([token]);
      return { token: text, logprob: -0.5, bytes: [...Buffer.from(text)], top_logprobs: [] };
    });
    const { choices } = await client.chat.completions.create(body);
    expect(choices[0]?.logprobs?.content).toEqual(expected);
    const streamed = [];
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
      streamed.push(...(choices[0]?.logprobs?.content ?? []));
    }
    expect(streamed).toEqual(expected);
  });

  test("is the same among twenty at a time as alone", async () => {
    const { client } = await start({ maxNumSeqs: 4 });
    const ask = async (index: number) => {
      const body = { model: "m", messages: user(`Question ${index}`), seed: index };
      if (index % 2 === 0) return (await client.chat.completions.create(body)).choices[0]?.message.content;
      let text = "";
      for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
        text += choices[0]?.delta.content ?? "";
      }
      return text;
    };
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    const together = await Promise.all(numbers.map(ask));
    const alone = [];
    for (const index of numbers) alone.push(await ask(index));
    expect(together).toEqual(alone);
    expect(new Set(alone).size).toBeGreaterThan(15);
  });

  test("that is left in the middle leaves the batch", async () => {
    use(endless(tokenizer.encode("a")[0]!));
    addon.steps.milliseconds = 5;
    const { client } = await start();
    const stream = await client.chat.completions.create({ model: "m", messages: user("Hi"), stream: true, n: 2 });
    for await (const _ of stream) break;
    await eventually(() => expect(addon.removed).toEqual([0, 1]));
    const controller = new AbortController();
    const whole = client.chat.completions.create({ model: "m", messages: user("Hi") }, { signal: controller.signal });
    await eventually(() => expect(addon.requests).toHaveLength(3));
    controller.abort();
    await expect(whole).rejects.toThrowError(OpenAI.APIUserAbortError);
    await eventually(() => expect(addon.removed).toEqual([0, 1, 2]));
  });
});

describe("the models", () => {
  test("may have an adapter", async () => {
    const shapes = pair("model.language_model.layers.0.self_attn.q_proj", 48, 48, 4);
    const adapter = writeAdapter(temporaryFolder(), shapes, { base_model_name_or_path: MODEL });
    const { client } = await start({ adapter });
    await client.chat.completions.create({ model: "m", messages: user("Hi") });
    const [load] = addon.calls.filter(({ verb }) => verb === "loadModel");
    const weights = join(adapter, "adapter_model.safetensors");
    expect(load?.args).toMatchObject({ directory: MODEL, train: "none", lora: { weights, dropout: 0 } });
  });

  test("are the one that is served", async () => {
    const { client } = await start({ servedModelName: "Food/m 1" });
    const models = [];
    for await (const model of client.models.list()) models.push(model);
    const expected = { id: "Food/m 1", object: "model", owned_by: "vlmr1-native", max_model_len: 512 };
    expect(models).toMatchObject([expected]);
    expect(await client.models.retrieve("Food/m 1")).toMatchObject(expected);
    await expect(client.models.retrieve("other")).rejects.toThrowError(OpenAI.NotFoundError);
  });

  test("are called by the folder's name where no other is given", async () => {
    const { server, client } = await start({ servedModelName: undefined });
    expect(server.model).toBe("qwen2_5_vl_a");
    const { model } = await client.chat.completions.create({ model: server.model, messages: user("Hi") });
    expect(model).toBe("qwen2_5_vl_a");
  });
});
