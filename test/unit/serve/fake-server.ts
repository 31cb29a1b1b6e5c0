import OpenAI from "openai";
import { afterEach, beforeEach, vi } from "vitest";
import type { DecodeRequest, NativeAddon, NativeEngine } from "../../../lib/engine/native-types.js";
import type { Tokenizer } from "../../../lib/processing/index.js";
import { type ServeOptions, type Server, serve } from "../../../lib/serve/index.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { fakeDecoder } from "../../support/fake-decoder.js";
import { goldenPath } from "../../support/golden.js";

export const MODEL = goldenPath("qwen2_5_vl_a");
export const SQUARE = goldenPath("images/square.png");
/** `<|im_end|>` */
export const END = 310;

/** An answer that goes on until it is cut. */
export const endless = (token: number): Answer => {
  const tokens = Array.from({ length: 1000 }, () => token);
  return () => tokens;
};

export type Answer = (request: DecodeRequest) => readonly number[];

/** An addon whose decoder answers as it is told, and the ids that were removed from it. */
export function answeringAddon(answer: Answer, options: FakeOptions = {}) {
  const base = fakeAddon(options);
  const removed: number[] = [];
  const requests: DecodeRequest[] = [];
  /** A step takes `milliseconds`, or `fails`. */
  const steps = { milliseconds: 0, fails: undefined as Error | undefined };
  const openDecoder = ({ maxRows }: { maxRows: number }) => {
    const decoder = fakeDecoder({
      maxRows,
      answer: (request) => {
        requests.push(request);
        return answer(request);
      },
    });
    return {
      ...decoder,
      remove: async (args: { ids: number[] }, flag: Int32Array) => {
        removed.push(...args.ids);
        return decoder.remove(args, flag);
      },
      step: async (...args: Parameters<typeof decoder.step>) => {
        if (steps.milliseconds > 0) await new Promise((resolve) => setTimeout(resolve, steps.milliseconds));
        if (steps.fails !== undefined) throw steps.fails;
        return decoder.step(...args);
      },
    };
  };
  const Engine = function openEngine(given: ConstructorParameters<NativeAddon["Engine"]>[0]): NativeEngine {
    const engine = new base.Engine(given);
    const load = engine.loadModel;
    engine.loadModel = async (args, flag) => ({ ...(await load(args, flag)), openDecoder });
    return engine;
  } as unknown as NativeAddon["Engine"];
  return { ...base, Engine, removed, requests, steps };
}

/** Text that depends on everything that a request is, as samples of a model do. */
export function hashAnswer(tokenizer: Tokenizer): Answer {
  return ({ prompt, sampling, seed, row, completion }) => {
    let state = 17;
    const parts = [...prompt.tokens, 1000 * sampling.temperature, seed, row, completion];
    for (const part of parts) state = (Math.imul(state, 31) + Math.round(part)) >>> 0;
    const length = 3 + (state % 23);
    const words = Array.from({ length }, (_, index) => String.fromCharCode(97 + ((state >>> (index % 24)) % 26)));
    return [...tokenizer.encode(words.join("")), END];
  };
}

/** Waits for what comes soon: at once on a machine with nothing else to do, later on one that runs all tests. */
export function eventually(check: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 20_000, interval: 1 });
}

const servers: Server[] = [];

// Whoever runs the tests may have a key.
beforeEach(() => {
  vi.stubEnv("VLMR1_API_KEY", "");
});

/** A server on a free port, which is closed after the test. */
export async function start(options: Partial<ServeOptions> = {}): Promise<{ server: Server; client: OpenAI }> {
  const server = await serve({ model: MODEL, port: 0, servedModelName: "m", shutdownTimeout: 0, ...options });
  servers.push(server);
  return { server, client: clientOf(server, options.apiKey) };
}

export const HELLO = { messages: [{ role: "user" as const, content: "Hi" }], model: "m" };
export const JSON_TYPE = { "Content-Type": "application/json" };

/** Without the client, for what it would not send. */
export function post({ url }: Server, body: string | Uint8Array, headers: Record<string, string> = JSON_TYPE) {
  return fetch(`${url}/chat/completions`, { method: "POST", headers, body });
}

/** The official client; it tries nothing twice, so that a test sees each answer. */
export function clientOf({ url }: Server, apiKey = "none"): OpenAI {
  return new OpenAI({ baseURL: url, apiKey, maxRetries: 0, timeout: 20_000 });
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  vi.unstubAllEnvs();
});
