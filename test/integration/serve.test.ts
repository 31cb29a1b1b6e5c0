import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../lib/engine/index.js";
import { Processor } from "../../lib/processing/index.js";
import { type RequestRecord, type Server, serve } from "../../lib/serve/index.js";

const path = (name: string) => fileURLToPath(new URL(`../../examples/food/${name}`, import.meta.url));
const STARTER = path("starter");
const PICTURES = ["grapes", "pizza", "avocado", "banana"].map((food) => path(`images/fluent-flat/${food}.png`));
const QUESTION = "这是什么食物？每100克多少千卡？";

let server: Server;
let client: OpenAI;
const records: RequestRecord[] = [];

beforeAll(async () => {
  const onRequest = (record: RequestRecord) => records.push(record);
  server = await serve({ model: STARTER, port: 0, imageFolder: path("images"), maxNumSeqs: 6, onRequest });
  client = new OpenAI({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server?.close());

const dataUrl = (file: string) => `data:image/png;base64,${readFileSync(file).toString("base64")}`;
const picture = (url: string) => ({ type: "image_url" as const, image_url: { url } });
const ask = (index: number, text = QUESTION) => ({
  model: "starter",
  max_tokens: 48,
  seed: index,
  messages: [
    { role: "user" as const, content: [picture(dataUrl(PICTURES[index % 4]!)), { type: "text" as const, text }] },
  ],
});

async function streamed(body: OpenAI.ChatCompletionCreateParamsNonStreaming): Promise<string> {
  let text = "";
  for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
    text += choices[0]?.delta.content ?? "";
  }
  return text;
}

describe("the food starter behind OpenAI's API", () => {
  it("answers what the engine answers, with its log-probabilities", async () => {
    const engine = await Engine.open();
    const processor = await Processor.load(STARTER, engine);
    const model = await engine.loadModel(STARTER, { train: "none" });
    const messages = [
      { role: "user" as const, content: [{ type: "image" as const }, { type: "text" as const, text: QUESTION }] },
    ];
    const prompt = await processor.prompt(messages, [PICTURES[0]!]);
    const { temperature, topK, topP, minP, repetitionPenalty, stopTokens } = processor.generation;
    const sampling = { temperature, topK, topP, minP, repetitionPenalty, stopTokens, maxNewTokens: 48 };
    const [expected = []] = await model.generate({ prompts: [prompt], n: 2, seed: 4, sampling });
    engine.dispose();
    const { choices, usage } = await client.chat.completions.create({ ...ask(4), n: 2, logprobs: true });
    const decode = (tokens: Iterable<number>) => processor.tokenizer.decode(tokens, { skipSpecialTokens: true });
    expect(choices.map(({ message }) => message.content)).toEqual(expected.map(({ tokens }) => decode(tokens)));
    for (const [index, { tokens, logProbs }] of expected.entries()) {
      const spoken = [...tokens].flatMap((token, at) => (processor.tokenizer.isSpecial(token) ? [] : [logProbs[at]]));
      expect(choices[index]?.logprobs?.content?.map(({ logprob }) => logprob)).toEqual(spoken);
    }
    expect(usage?.prompt_tokens).toBe(prompt.tokens.length);
    expect(usage?.completion_tokens).toBe(expected.reduce((sum, { tokens }) => sum + tokens.length, 0));
  });

  it("answers twenty at once as each of them alone, streamed or not", async () => {
    const one = async (index: number) =>
      index % 2 === 0
        ? (await client.chat.completions.create(ask(index))).choices[0]?.message.content
        : streamed(ask(index));
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    const together = await Promise.all(numbers.map(one));
    const alone = [];
    for (const index of numbers) alone.push(await one(index));
    expect(together).toEqual(alone);
    expect(new Set(alone).size).toBeGreaterThan(3);
    expect(alone[0]).toMatch(/^<think>.*<\/think><answer>.+<\/answer>$/);
  });

  it("reads a picture of the image folder as the same sent along", async () => {
    const sent = await streamed({ ...ask(1), temperature: 0 });
    const content = [picture("fluent-flat/pizza.png"), { type: "text" as const, text: QUESTION }];
    const named = await streamed({ ...ask(1), temperature: 0, messages: [{ role: "user", content }] });
    expect(named).toBe(sent);
    const outside = [{ role: "user" as const, content: [picture("../food.csv")] }];
    await expect(streamed({ ...ask(1), messages: outside })).rejects.toThrowError(OpenAI.BadRequestError);
  });

  it("goes on with a conversation", async () => {
    const { choices } = await client.chat.completions.create(ask(2));
    const messages = [...ask(2).messages, choices[0]!.message, ...ask(3).messages];
    expect(await streamed({ ...ask(2), messages })).not.toBe("");
  });

  it("ends at stop strings, and where a client goes away", async () => {
    const stop = ["</think>"];
    const { choices } = await client.chat.completions.create({ ...ask(0), stop });
    expect(choices[0]).toMatchObject({ finish_reason: "stop" });
    const whole = await streamed(ask(0));
    expect(choices[0]?.message.content).toBe(whole.split("</think>")[0]);
    expect(await streamed({ ...ask(0), stop })).toBe(choices[0]?.message.content);
    // A model that is not let end goes on: the client does not.
    const endless = { ...ask(0), max_tokens: 3000, repetition_penalty: 2, temperature: 2, n: 6 } as never;
    const stream = await client.chat.completions.create({ ...(endless as ReturnType<typeof ask>), stream: true });
    for await (const _ of stream) break;
    await expect.poll(() => records.at(-1)?.status, { timeout: 10_000 }).toBe(499);
    expect(await streamed(ask(0))).toBe(whole);
  });
});

describe("the command", () => {
  it("serves until it is interrupted", async () => {
    const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
    const args = [main, "serve", "--model", STARTER, "--port", "0", "--json"];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
    const { url, model } = JSON.parse(line) as { url: string; model: string };
    const other = new OpenAI({ baseURL: url, apiKey: "none" });
    const answers = await Promise.all(
      [0, 1, 2].map((index) => other.chat.completions.create({ ...ask(index), model })),
    );
    expect(answers.map(({ choices }) => choices.length)).toEqual([1, 1, 1]);
    child.kill("SIGINT");
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(0);
    expect(log.match(/POST \/v1\/chat\/completions 200/g)).toHaveLength(3);
  });
});
