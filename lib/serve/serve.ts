import { realpath } from "node:fs/promises";
import { parseConfig, parseSize } from "../config/index.js";
import { type ServeConfig, type ServeInput, serveSchema } from "../config/serve-schema.js";
import { fromSystem, throwIfAborted } from "../errors/index.js";
import type { FetchOptions } from "../hub/index.js";
import { checkExposure } from "./access.js";
import { Admission } from "./admission.js";
import { Counters } from "./counters.js";
import { Gate } from "./gate.js";
import { type HttpOptions, HttpServer } from "./http-server.js";
import { openServed, type Served } from "./open-served.js";
import { Scheduler } from "./scheduler.js";

/** Fields of `vlmr1-native serve` in camelCase or snake_case, and what a program wants to hear. */
export type ServeOptions = ServeInput &
  Pick<HttpOptions, "onRequest" | "onError"> &
  Pick<FetchOptions, "onProgress" | "onNotice"> & {
    /** Ends the loading, or the server as `close()` does. */
    signal?: AbortSignal | undefined;
  };

/** A server that answers. */
export interface Server {
  /** For `baseURL` of OpenAI's clients: `http://127.0.0.1:8000/v1`. */
  readonly url: string;
  readonly port: number;
  /** What clients call the model. */
  readonly model: string;
  /** Resolves when the server has ended, however it came to that. */
  readonly closed: Promise<void>;
  /**
   * Takes no new requests, lets those under way end within `shutdownTimeout` seconds, ends what is left with 503, and
   * frees the model. Safe to call twice.
   */
  close(): Promise<void>;
}

/**
 * Serves a model by OpenAI's API for chats: POST /v1/chat/completions, GET /v1/models, /health, /metrics. Listens from
 * the start, so that a port in use is known before weights are loaded, and answers 503 until they are. Rejects with
 * `ERR_CONFIG`, `ERR_NETWORK`, and what loading a model rejects with.
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { signal, onRequest, onError, onProgress, onNotice, ...given } = options;
  throwIfAborted(signal);
  const config = parseConfig(serveSchema, given);
  // An empty variable is none: it must not be a key that everybody knows.
  const apiKey = config.apiKey ?? (process.env.VLMR1_API_KEY || undefined);
  checkExposure({ ...config, apiKey });
  const imageFolder = await realFolder(config.imageFolder);
  const http = new HttpServer({ ...config, apiKey, onRequest, onError });
  const port = await http.listen();
  try {
    const served = await openServed(config, { signal, onProgress, onNotice });
    http.ready(serviceOf(served, { ...config, imageFolder }));
    return handle(http, served, { ...config, port }, signal);
  } catch (error) {
    await http.stop(0);
    throw error;
  }
}

async function realFolder(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await realpath(path);
  } catch (error) {
    throw fromSystem(error, "use the image folder", path);
  }
}

/** Requests with pictures that are ready beside those that are answered, so that the next ones need not be waited for. */
const AHEAD = 2;

function serviceOf({ model, processor, name, fingerprint, maxModelLen }: Served, config: ServeConfig) {
  const { maxNumSeqs, maxQueueLen, maxRequestBytes, maxMessages, maxImages, maxImagePixels, imageFolder } = config;
  const pictures = { maxBytes: parseSize(maxRequestBytes), imageFolder };
  return {
    processor,
    scheduler: new Scheduler(() => model.openDecoder({ maxRows: maxNumSeqs })),
    admission: new Admission(maxNumSeqs + maxQueueLen),
    gate: new Gate(maxNumSeqs + AHEAD),
    counters: new Counters(),
    limits: { ...pictures, maxModelLen, maxNumSeqs, maxMessages, maxImages, maxImagePixels },
    model: name,
    fingerprint,
    seed: config.seed,
    stallMilliseconds: config.receiveTimeout * 1000,
  };
}

function handle(
  http: HttpServer,
  { engine, name }: Served,
  { host, port, shutdownTimeout }: ServeConfig,
  signal: AbortSignal | undefined,
): Server {
  let ending: Promise<void> | undefined;
  let ended: () => void;
  const closed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const close = (): Promise<void> => {
    ending ??= http
      .stop(shutdownTimeout * 1000)
      .finally(() => {
        signal?.removeEventListener("abort", close);
        engine.dispose();
      })
      .finally(() => ended());
    return ending;
  };
  signal?.addEventListener("abort", close, { once: true });
  if (signal?.aborted) void close();
  const address = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return { url: `http://${address}:${port}/v1`, port, model: name, closed, close };
}
