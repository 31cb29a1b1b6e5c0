import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type JudgeOptions, judge, loadReward } from "../../../lib/rewards/index.js";
import { parseScore } from "../../../lib/rewards/judge/parse-score.js";
import { nameRewards } from "../../../lib/rewards/named.js";
import { Scorer } from "../../../lib/rewards/score.js";
import { chatServer, say } from "../../support/chat-server.js";
import { rewardContext, rewardRow, scorable } from "../../support/rewards.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();
const server = await chatServer();
const row = rewardRow("<answer>an apple</answer>", {}, "What is {answer}?");
const KEY = "sk-very-secret";

function ask(options: Partial<JudgeOptions> = {}, completion = "<answer>a pear</answer>", more = {}) {
  const reward = judge({ model: "grader", baseUrl: server.baseUrl, firstPause: 0.01, ...options });
  return reward(completion, row, rewardContext({ question: "What is {answer}?", ...more })) as Promise<number>;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("the score of a reply", () => {
  test.each<[string, number, number | undefined]>([
    ["1", 1, 1],
    [" 0.75\n", 1, 0.75],
    [".5", 1, 0.5],
    ["8/10", 10, 8],
    ["**7**", 10, 7],
    ['{"score": 0.5}', 1, 0.5],
    ['{"score": "0.5", "why": "half"}', 1, 0.5],
    ['Because …\n```json\n{"reason": "ok", "score": 1}\n```', 1, 1],
    ['I think {"score": 0.25} is fair', 1, 0.25],
    ["<think>maybe 1</think>0", 1, 0],
    ["Score: 3, no, score: 4", 10, 4],
    ["评分：９", 10, 9],
    ["I give it 6.", 10, 6],
    ["6 of 10 points", 10, undefined],
    ["good", 1, undefined],
    ["", 1, undefined],
    ["2", 1, undefined],
    ["-0.5", 1, undefined],
    ["NaN", 1, undefined],
    ['{"score": null}', 1, undefined],
    ["[]", 1, undefined],
  ])("%j of %d", (reply, max, expected) => {
    expect(parseScore(reply, max)).toBe(expected);
  });
});

describe("what is asked", () => {
  test("the filled prompt, once, at temperature 0, with the key", async () => {
    vi.stubEnv("MY_KEY", KEY);
    const prompt = "{question}|{solution}|{answer}|{max}|{other}";
    expect(await ask({ apiKeyEnv: "MY_KEY", prompt, maxTokens: 9 })).toBe(1);
    const [request] = server.requests;
    expect(request?.body).toEqual({
      model: "grader",
      messages: [{ role: "user", content: "What is {answer}?|an apple|a pear|1|{other}" }],
      temperature: 0,
      max_tokens: 9,
    });
    expect(request?.authorization).toBe(`Bearer ${KEY}`);
  });

  test("without a key where the server is one's own", async () => {
    vi.stubEnv("OPENAI_API_KEY", undefined);
    await ask();
    expect(server.requests[0]?.authorization).toBeUndefined();
    expect(server.requests[0]?.body.messages[0]?.content).toContain("an apple");
  });

  test("with the pictures", async () => {
    const path = join(folder, "a.png");
    writeFileSync(path, Buffer.from("\x89PNG\r\n", "latin1"));
    const reward = judge({ model: "grader", baseUrl: server.baseUrl, image: true });
    await reward("pear", { ...row, images: [path] }, rewardContext());
    expect(server.requests[0]?.body.messages[0]?.content).toEqual([
      { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0K" } },
      { type: "text", text: expect.stringContaining("pear") },
    ]);
  });

  test("the same question only once, also while it is under way; another one again", async () => {
    const reward = judge({ model: "grader", baseUrl: server.baseUrl });
    const call = (completion: string) => reward(completion, row, rewardContext());
    expect(await Promise.all([call("a"), call("a"), call("b")])).toEqual([1, 1, 1]);
    await call("a");
    expect(server.requests).toHaveLength(2);
  });

  test("a score of 8 of 10 earns 0.8", async () => {
    server.respond = (response) => say(response, "8");
    expect(await ask({ max: 10 })).toBe(0.8);
  });

  test("by a spec with a prompt's file", async () => {
    writeFileSync(join(folder, "prompt.txt"), "grade {completion}");
    const url = encodeURIComponent(server.baseUrl);
    const reward = await loadReward(`judge?model=grader&base_url=${url}&prompt_file=prompt.txt`, folder);
    expect(await reward("x&y", row, rewardContext())).toBe(1);
    expect(server.requests[0]?.body.messages[0]?.content).toBe("grade x&y");
  });
});

describe("a server that is", () => {
  test("busy is asked again when it says so", async () => {
    server.respond = (response, index) =>
      index === 0 ? response.writeHead(429, { "Retry-After": "1" }).end("busy") : say(response, "0.5");
    expect(await ask()).toBe(0.5);
    const [first, second] = server.requests;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(950);
  });

  test("failing for the moment is asked again, so often", async () => {
    server.respond = (response, index) => (index < 2 ? response.writeHead(500).end() : say(response, "1"));
    expect(await ask({ retries: 2 })).toBe(1);
    server.requests.length = 0;
    server.respond = (response) => response.writeHead(503).end("down");
    await expect(ask({ retries: 2 })).rejects.toMatchObject({
      code: "ERR_NETWORK",
      message: expect.stringMatching(/503.*down.*3 tries/),
    });
    expect(server.requests).toHaveLength(3);
  });

  test("cutting its body off is asked again", async () => {
    server.respond = (response, index) => {
      if (index > 0) return say(response, "1");
      response.writeHead(200, { "Content-Length": "1000" });
      response.write('{"choices": [');
      setTimeout(() => response.destroy(), 20);
    };
    expect(await ask()).toBe(1);
    expect(server.requests).toHaveLength(2);
  });

  test.each<[string, number, string, RegExp]>([
    ["garbage", 200, "<html>hello", /no JSON: "<html>hello"/],
    ["wrong JSON", 200, '{"choices": []}', /choices\[0\]/],
    ["null", 200, "null", /choices\[0\]/],
    ["a refusal", 401, '{"error": "bad key"}', /401: .*bad key/],
    ["a misspelt model", 404, "no such model", /404/],
  ])("answering %s is not asked again", async (_, status, body, message) => {
    server.respond = (response) => response.writeHead(status).end(body);
    await expect(ask()).rejects.toMatchObject({ code: "ERR_REWARD", message: expect.stringMatching(message) });
    expect(server.requests).toHaveLength(1);
  });

  test("answering without a score", async () => {
    server.respond = (response) => say(response, "good");
    await expect(ask()).rejects.toThrow(/expected a score from 0 to 1, got "good"/);
  });

  test("repeating the key does not bring it into a message", async () => {
    vi.stubEnv("OPENAI_API_KEY", KEY);
    server.respond = (response) => response.writeHead(401).end(`wrong key ${KEY}`);
    const error = await ask().catch((caught: Error) => caught);
    expect(String(error)).toContain("wrong key ***");
    expect(String(error)).not.toContain(KEY);
  });

  test("not there is reported", async () => {
    await expect(ask({ baseUrl: "http://127.0.0.1:9/v1", retries: 0 })).rejects.toMatchObject({ code: "ERR_NETWORK" });
  });

  test("slow is given up with the call's signal, also between tries", async () => {
    server.respond = () => {};
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("time is up")), 30);
    await expect(ask({}, "a", { signal: controller.signal })).rejects.toThrow("time is up");
    server.respond = (response) => response.writeHead(429, { "Retry-After": "60" }).end();
    const other = new AbortController();
    setTimeout(() => other.abort(new Error("time is up")), 60);
    await expect(ask({}, "b", { signal: other.signal })).rejects.toThrow("time is up");
  });
});

test("the scorer counts a failed judgement as not applicable, under its row", async () => {
  server.respond = (response, index) => say(response, index === 0 ? "0.5" : "no idea");
  const scorer = new Scorer(nameRewards([judge({ model: "grader", baseUrl: server.baseUrl })]));
  const items = [scorable(row, "a"), scorable(row, "b")];
  const scores = await scorer.score(items, {
    step: 0,
    evaluation: false,
    maxCompletionLength: 9,
    timeLimit: 5000,
    concurrency: 1,
  });
  expect(scores.values).toEqual([[0.5], [null]]);
  expect(scores.failures).toEqual([
    { reward: "judge", row: "row", message: expect.stringContaining("expected a score") },
  ]);
});

test.each<[string, Partial<JudgeOptions>, RegExp]>([
  ["no key for OpenAI", { baseUrl: "https://api.openai.com/v1", apiKeyEnv: "NOT_SET_ANYWHERE" }, /NOT_SET_ANYWHERE/],
  ["no address", { baseUrl: "localhost:8000" }, /base_url/],
  ["a prompt without the answer", { prompt: "grade!" }, /\{answer\}/],
  ["two prompts", { prompt: "{answer}", promptFile: "a" }, /not both/],
  ["no prompt file", { promptFile: join(folder, "none.txt") }, /none\.txt/],
])("%s is refused at the start", (_, options, message) => {
  expect(() => judge({ model: "grader", baseUrl: server.baseUrl, ...options })).toThrowError(message);
});
