import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import OpenAI from "openai";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { Tokenizer } from "../../../lib/processing/index.js";
import type { RequestRecord, Server } from "../../../lib/serve/index.js";
import {
  answeringAddon,
  clientOf,
  END,
  endless,
  eventually,
  HELLO,
  hashAnswer,
  JSON_TYPE,
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

/** What comes over a bare connection, until it is closed or `enough`. */
async function talk(server: Server, send: (socket: Socket) => void, enough = (_: string) => false): Promise<string> {
  const socket = connect(server.port, "127.0.0.1");
  let text = "";
  await new Promise<void>((resolve) => {
    socket.on("data", (data) => {
      text += data.toString();
      if (enough(text)) resolve();
    });
    socket.on("close", () => resolve());
    socket.on("error", () => resolve());
    socket.on("connect", () => send(socket));
  });
  socket.destroy();
  return text;
}

const head = (lines: string[]) =>
  ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", ...lines, "", ""].join("\r\n");
const rawPost = (body: string) =>
  head([`Content-Length: ${Buffer.byteLength(body)}`, "Content-Type: application/json"]) + body;

describe("a body", () => {
  test.each<[string, string | Uint8Array, Record<string, string>, number, string]>([
    ["that is no JSON", "{", JSON_TYPE, 400, "invalid_json"],
    ["that is empty", "", JSON_TYPE, 400, "invalid_json"],
    ["that is not UTF-8", Uint8Array.of(0x22, 0xff, 0x22), JSON_TYPE, 400, "invalid_json"],
    ["of another type", "{}", { "Content-Type": "text/plain" }, 415, "unsupported_media_type"],
    ["in another charset", "{}", { "Content-Type": "application/json; charset=utf-16" }, 415, "unsupported_media_type"],
    ["that is compressed", "{}", { ...JSON_TYPE, "Content-Encoding": "gzip" }, 415, "unsupported_media_type"],
    ["that is too large", " ".repeat(2e5), JSON_TYPE, 413, "request_too_large"],
    ["of another model", JSON.stringify({ ...HELLO, model: "gpt-4" }), JSON_TYPE, 404, "model_not_found"],
    ["with a field that is wrong", JSON.stringify({ ...HELLO, n: 0 }), JSON_TYPE, 400, "invalid_value"],
  ])("%s is refused", async (_, body, headers, status, code) => {
    const { server } = await start({ maxRequestBytes: "100KB" });
    const response = await post(server, body, headers);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({
      error: { message: expect.any(String), type: "invalid_request_error", param: expect.toSatisfy(() => true), code },
    });
    expect((await post(server, JSON.stringify(HELLO))).status).toBe(200);
  });

  test("that never ends is cut off, and said to be too large", async () => {
    const { server } = await start({ maxRequestBytes: 1000 });
    const text = await talk(server, (socket) => {
      socket.write(head(["Transfer-Encoding: chunked", "Content-Type: application/json"]));
      const piece = `10000\r\n${" ".repeat(0x10000)}\r\n`;
      const pump = () => {
        while (socket.writable && socket.write(piece));
      };
      socket.on("drain", pump);
      pump();
    });
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });

  test("that says to be huge is refused before it is sent", async () => {
    const { server } = await start();
    const text = await talk(server, (socket) => {
      socket.write(head(["Content-Length: 999999999999", "Content-Type: application/json"]));
    });
    expect(text).toMatch(/^HTTP\/1\.1 413 [\s\S]*"request_too_large"/);
  });

  test("that dribbles in is given up", async () => {
    const { server } = await start({ receiveTimeout: 0.3 });
    const started = performance.now();
    const slowHead = talk(server, (socket) => socket.write("POST /v1/chat/completions HTTP/1.1\r\n"));
    const slowBody = talk(server, (socket) => socket.write(rawPost(JSON.stringify(HELLO)).slice(0, -5)));
    for (const text of await Promise.all([slowHead, slowBody])) expect(text).toMatch(/^HTTP\/1\.1 408 /);
    expect(performance.now() - started).toBeLessThan(10_000);
    // On a machine that is busy it may take as long for a request that is whole to be read.
    await eventually(async () => expect((await post(server, JSON.stringify(HELLO))).status).toBe(200));
  });
});

describe("a connection", () => {
  test("may bring many requests at once: they are answered in their order", async () => {
    const { server } = await start();
    const bodies = Array.from({ length: 15 }, (_, seed) => JSON.stringify({ ...HELLO, seed }));
    const count = (text: string) => text.split("HTTP/1.1 200").length - 1;
    const text = await talk(
      server,
      (socket) => socket.write(bodies.map(rawPost).join("")),
      (soFar) => count(soFar) === bodies.length && soFar.endsWith("}"),
    );
    const contents = [...text.matchAll(/"content":"([a-z]*)"/g)].map(([, content]) => content);
    const alone = [];
    for (const body of bodies) {
      const { choices } = (await (await post(server, body)).json()) as { choices: { message: { content: string } }[] };
      alone.push(choices[0]?.message.content);
    }
    expect(contents).toEqual(alone);
  });

  test("of a client that does not read is dropped, and others go on", async () => {
    addon = answeringAddon(endless(letter));
    const records: RequestRecord[] = [];
    const { server, client } = await start({ receiveTimeout: 0.4, onRequest: (record) => records.push(record) });
    // The log-probabilities of sixteen choices are more than a system buffers on the way.
    const wide = { ...HELLO, stream: true, n: 16, logprobs: true };
    const sockets = Array.from({ length: 3 }, () => {
      const socket = connect(server.port, "127.0.0.1");
      socket.pause();
      socket.on("error", () => {});
      for (let index = 0; index < 4; index += 1) socket.write(rawPost(JSON.stringify(wide)));
      return socket;
    });
    const { choices } = await client.chat.completions.create({ ...HELLO, max_tokens: 3 }, { maxRetries: 9 });
    expect(choices[0]?.message.content).toBe("aaa");
    await eventually(() => expect(records.map(({ status }) => status)).toContain(499));
    expect(records.find(({ status }) => status === 499)?.message).toMatch(/does not read|went away/);
    for (const socket of sockets) socket.destroy();
  });

  test("of a client that does not take a whole answer is dropped too", async () => {
    addon = answeringAddon(endless(letter));
    const { server } = await start({ receiveTimeout: 0.4, maxConnections: 1 });
    const wide = JSON.stringify({ ...HELLO, n: 16, logprobs: true });
    const socket = connect(server.port, "127.0.0.1");
    socket.pause();
    socket.on("error", () => {});
    for (let index = 0; index < 12; index += 1) socket.write(rawPost(wide));
    const health = () =>
      talk(server, (other) => other.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"), Boolean);
    // There is room for one connection, which it keeps as long as it may.
    await new Promise((resolve) => socket.on("connect", resolve));
    expect(await health()).toBe("");
    await vi.waitFor(async () => expect(await health()).toMatch(/^HTTP\/1\.1 200/), { timeout: 20_000, interval: 200 });
    socket.destroy();
  });

  test("beyond the most that there may be is not taken", async () => {
    const { server } = await start({ maxConnections: 1 });
    const first = connect(server.port, "127.0.0.1");
    await new Promise((resolve) => first.on("connect", resolve));
    expect(await talk(server, (socket) => socket.write(rawPost(JSON.stringify(HELLO))))).toBe("");
    first.destroy();
  });

  test("that brings no HTTP is refused", async () => {
    const { server } = await start();
    expect(await talk(server, (socket) => socket.write("hello\r\n\r\n"))).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe("a path", () => {
  test.each([
    ["GET", "/v1/chat/completions", 405, "method_not_allowed"],
    ["POST", "/v1/models", 405, "method_not_allowed"],
    ["POST", "/v1/completions", 404, "not_found"],
    ["GET", "/", 404, "not_found"],
    ["GET", "/__proto__", 404, "not_found"],
    ["GET", "/v1/models/%zz", 404, "model_not_found"],
  ])("%s %s is refused", async (method, path, status, code) => {
    const { server } = await start();
    const response = await fetch(new URL(path, server.url), { method });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, message: expect.any(String) } });
  });

  test("answers HEAD with the head of what GET says", async () => {
    const { server } = await start();
    for (const path of ["/health", "/metrics", "/v1/models"]) {
      const response = await fetch(new URL(path, server.url), { method: "HEAD" });
      expect([path, response.status, await response.text()]).toEqual([path, 200, ""]);
      expect(Number(response.headers.get("content-length"))).toBeGreaterThan(0);
    }
  });

  test("/health and /metrics say how the server is", async () => {
    const { server, client } = await start({ maxNumSeqs: 2 });
    await client.chat.completions.create({ ...HELLO, n: 2 });
    await expect(client.chat.completions.create({ ...HELLO, n: 3 })).rejects.toMatchObject({ status: 400, param: "n" });
    const health = await fetch(new URL("/health", server.url));
    expect([health.status, await health.json()]).toEqual([200, { status: "ok" }]);
    const text = await (await fetch(new URL("/metrics", server.url))).text();
    const values = Object.fromEntries(
      text
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"))
        .map((line) => line.split(" ")),
    );
    expect(values).toMatchObject({
      'vlmr1_requests_total{status="200"}': "1",
      'vlmr1_requests_total{status="400"}': "1",
      vlmr1_prompt_tokens_total: String(addon.requests[0]?.prompt.tokens.length),
      vlmr1_completions_running: "0",
      vlmr1_completions_waiting: "0",
    });
    expect(Number(values.vlmr1_completion_tokens_total)).toBeGreaterThan(5);
  });
});

describe("who asks", () => {
  test("needs the key where there is one, from the options or the environment", async () => {
    vi.stubEnv("VLMR1_API_KEY", "from-environment");
    for (const [options, key] of [
      [{}, "from-environment"],
      [{ apiKey: "given" }, "given"],
    ] as const) {
      const { server } = await start(options);
      await clientOf(server, key).chat.completions.create(HELLO);
      await expect(clientOf(server, "wrong").models.list()).rejects.toThrowError(OpenAI.AuthenticationError);
      const bare = await post(server, JSON.stringify(HELLO));
      expect(bare.status).toBe(401);
      expect(await bare.json()).toMatchObject({ error: { code: "invalid_api_key" } });
      expect((await fetch(new URL("/health", server.url))).status).toBe(200);
      expect((await fetch(new URL("/metrics", server.url))).status).toBe(401);
    }
  });

  test("is no page with a name of its own for this machine", async () => {
    const { server } = await start();
    const lines = ["GET /v1/models HTTP/1.1", "Host: evil.example", "Connection: close", "", ""];
    const text = await talk(server, (socket) => socket.write(lines.join("\r\n")));
    expect(text).toMatch(/^HTTP\/1\.1 403 [\s\S]*host_not_allowed/);
  });

  test("is no page of elsewhere, unless it was allowed", async () => {
    const origin = "https://chat.example";
    const preflight = (server: Server, from: string) =>
      fetch(`${server.url}/chat/completions`, {
        method: "OPTIONS",
        headers: { Origin: from, "Access-Control-Request-Headers": "content-type,x-stainless-os" },
      });
    const closed = await start();
    expect((await preflight(closed.server, origin)).headers.get("access-control-allow-origin")).toBeNull();
    const open = await start({ corsOrigin: [origin] });
    const { headers, status } = await preflight(open.server, origin);
    expect([status, headers.get("access-control-allow-origin")]).toEqual([204, origin]);
    expect(headers.get("access-control-allow-headers")).toBe("content-type,x-stainless-os");
    expect(
      (await preflight(open.server, "https://other.example")).headers.get("access-control-allow-origin"),
    ).toBeNull();
    const answer = await post(open.server, JSON.stringify(HELLO), { ...JSON_TYPE, Origin: origin });
    expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
  });
});

describe("the model", () => {
  const picture = (url: string) => [
    { role: "user" as const, content: [{ type: "image_url" as const, image_url: { url } }] },
  ];

  test.each([
    ["base64 that is none", "data:image/png;base64,!!!!", "base64"],
    ["half a picture", `data:image/png;base64,${readFileSync(SQUARE).subarray(0, 300).toString("base64")}`, "damaged"],
    ["an address", "https://example.com/a.png", "is not fetched"],
    ["a path", SQUARE, "reads no local files"],
  ])("is not asked about %s", async (_, url, message) => {
    const { client } = await start();
    const refused = client.chat.completions.create({ model: "m", messages: picture(url) });
    await expect(refused).rejects.toThrowError(OpenAI.BadRequestError);
    await expect(refused).rejects.toThrowError(message);
    expect(addon.requests).toEqual([]);
  });

  test("is not asked for more than it has room for, or more pictures, messages or pixels than allowed", async () => {
    const { client } = await start({ maxModelLen: 100, maxImages: 1, maxMessages: 2, maxImagePixels: 2000 });
    const data = `data:image/png;base64,${readFileSync(SQUARE).toString("base64")}`;
    const cases: [object, string][] = [
      [{ max_tokens: 99 }, "context_length_exceeded"],
      [{ messages: [{ role: "user", content: "long ".repeat(100) }] }, "context_length_exceeded"],
      [{ messages: [{ role: "user", content: " ".repeat(1700) }] }, "context_length_exceeded"],
      [{ messages: [HELLO.messages[0], HELLO.messages[0], HELLO.messages[0]] }, "invalid_value"],
      [{ messages: [...picture(data), ...picture(data)] }, "invalid_value"],
      [{ messages: picture(data) }, "image_too_large"],
      [{ messages: [{ role: "user", content: "<|image_pad|>" }] }, "err_data"],
    ];
    for (const [fields, code] of cases) {
      await expect(client.chat.completions.create({ ...HELLO, ...fields })).rejects.toMatchObject({
        status: 400,
        code,
      });
    }
    expect(addon.requests).toEqual([]);
  });

  test("that fails is the server's fault, told in its log only", async () => {
    const errors: unknown[] = [];
    const { client } = await start({ onError: (error) => errors.push(error) });
    addon.steps.fails = new Error("secret detail");
    const refused = client.chat.completions.create(HELLO);
    await expect(refused).rejects.toThrowError(OpenAI.InternalServerError);
    await expect(refused).rejects.not.toThrowError("secret");
    expect(errors).toMatchObject([{ message: "secret detail" }]);
    addon.steps.fails = undefined;
    expect((await client.chat.completions.create(HELLO)).choices).toHaveLength(1);
  });

  test("that fails in a stream breaks it off with an error", async () => {
    drawSlowly();
    const { client } = await start();
    const stream = await client.chat.completions.create({ ...HELLO, stream: true });
    const reading = (async () => {
      for await (const _ of stream) addon.steps.fails = new Error("broken");
    })();
    await expect(reading).rejects.toThrowError(/the server failed at this request/);
  });

  test("has no time without end", async () => {
    drawSlowly();
    const { client } = await start({ requestTimeout: 1 });
    await expect(client.chat.completions.create(HELLO)).rejects.toMatchObject({ status: 504, code: "timeout" });
    expect(addon.removed).toEqual([0]);
  });
});
