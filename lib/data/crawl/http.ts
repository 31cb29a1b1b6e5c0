import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { throwIfAborted } from "../../errors/index.js";
import { parseRetryAfter } from "../../hub/patience.js";
import { checkLiteral, guardedLookup, type Refuse, type Resolve } from "./addresses.js";
import { CrawlFailure } from "./failure.js";

export interface HttpSettings {
  /** Milliseconds of a whole request, and of silence. */
  timeout: number;
  stallTimeout: number;
  resolve: Resolve;
  refuse: Refuse;
  signal: AbortSignal | undefined;
}

export type Headers = Readonly<Record<string, string>>;

/** What one request brought: a body, or the address that it was sent on to. */
export interface Answer {
  url: string;
  status: number;
  headers: Headers;
  /** Absolute; undefined where the answer is no redirect. */
  location: string | undefined;
  /** Unpacked; cut at `limit` where that is wanted, else never longer than it. */
  body: Buffer;
}

export interface Want {
  /** Most bytes of the unpacked body. */
  limit: number;
  /** Take the first `limit` bytes of a longer one; it is refused unless given. */
  cut?: boolean;
  accept: string;
  /** Looks at the headers before the body is read; throws what is wrong with them. */
  check?: (contentType: string, url: string) => void;
}

const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Trouble with certificates does not pass. */
const LASTING = /CERT|^ERR_TLS|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|^ERR_SSL/;

/** One request at a time to anything that is allowed; no redirects, no further tries. */
export class HttpClient {
  private readonly agent: Agent;

  constructor(private readonly settings: HttpSettings) {
    const { refuse, resolve, stallTimeout } = settings;
    const connect = buildConnector({
      timeout: stallTimeout,
      lookup: guardedLookup(resolve, refuse),
      autoSelectFamily: true,
    });
    this.agent = new Agent({
      headersTimeout: stallTimeout,
      bodyTimeout: stallTimeout,
      connect: (options, callback) => {
        try {
          checkLiteral(options.hostname, refuse);
        } catch (error) {
          callback(error as Error, null);
          return;
        }
        connect(options, callback);
      },
    });
  }

  /** Header names in lower case. Throws `CrawlFailure`, or the reason of an abort. */
  async get(url: URL, want: Want, own: Headers): Promise<Answer> {
    const controller = new AbortController();
    const { signal, timeout } = this.settings;
    throwIfAborted(signal);
    const stop = () => controller.abort(signal?.reason);
    const timer = setTimeout(() => controller.abort(tooSlow(url, timeout)), timeout);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return await this.exchange(url, want, own, controller.signal);
    } catch (error) {
      throwIfAborted(signal);
      if (controller.signal.aborted) throw controller.signal.reason;
      throw asFailure(error, url);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async exchange(url: URL, want: Want, own: Headers, signal: AbortSignal): Promise<Answer> {
    const response = await this.agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: "GET",
      headers: { "accept-encoding": "gzip, br", accept: want.accept, ...own },
      signal,
    });
    const headers = flatten(response.headers);
    const status = response.statusCode;
    const answer = { url: url.href, status, headers };
    try {
      if (REDIRECTS.has(status)) return { ...answer, location: locationOf(headers, url), body: Buffer.alloc(0) };
      if (status !== 200) throw refusedStatus(url, status, headers);
      want.check?.(headers["content-type"] ?? "", url.href);
      return { ...answer, location: undefined, body: await readBody(response, headers, want, url) };
    } finally {
      // What is not read to its end is not worth the connection.
      response.body.on("error", () => undefined).destroy();
    }
  }
}

async function readBody(
  { body }: Dispatcher.ResponseData,
  headers: Headers,
  { limit, cut = false }: Want,
  url: URL,
): Promise<Buffer> {
  const encoding = (headers["content-encoding"] ?? "identity").trim().toLowerCase();
  const plain = encoding === "identity" || encoding === "";
  const announced = Number(headers["content-length"]);
  if (plain && !cut && announced > limit) throw tooLarge(url, limit, `${announced} bytes are announced`);
  const stream: Readable = plain ? body : pipeline(body, unpacker(encoding, url), () => undefined);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const room = limit - bytes;
    if ((chunk as Buffer).length > room) {
      if (!cut) throw tooLarge(url, limit, plain ? "more came" : `more came out of what is packed by ${encoding}`);
      chunks.push((chunk as Buffer).subarray(0, room));
      break;
    }
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return Buffer.concat(chunks);
}

function unpacker(encoding: string, url: URL) {
  if (encoding === "gzip" || encoding === "x-gzip") return createGunzip();
  if (encoding === "br") return createBrotliDecompress();
  if (encoding === "deflate") return createInflate();
  throw new CrawlFailure("ERR_DATA", `${url.href}: packed by "${encoding}", which is not known`, {
    hint: "gzip, br and deflate are.",
  });
}

function tooLarge({ href }: URL, limit: number, what: string): CrawlFailure {
  return new CrawlFailure("ERR_DATA", `${href}: larger than the limit of ${limit} bytes (${what})`, {
    hint: "max_page_bytes and images.max_bytes of the site's description are the limits.",
  });
}

function tooSlow({ href }: URL, milliseconds: number): CrawlFailure {
  const text = `${href}: not done after ${milliseconds / 1000} s`;
  return new CrawlFailure("ERR_NETWORK", text, { retry: true, hint: "timeout is the limit." });
}

function refusedStatus({ href, host }: URL, status: number, headers: Headers): CrawlFailure {
  const retry = RETRIED.has(status);
  const code =
    status === 404 || status === 410
      ? "ERR_NOT_FOUND"
      : status === 401 || status === 403
        ? "ERR_ACCESS"
        : "ERR_NETWORK";
  const askedWait = retry ? parseRetryAfter(headers["retry-after"] ?? null) : undefined;
  return new CrawlFailure(code, `${href}: ${host} answered ${status}`, { retry, askedWait, status, host });
}

function locationOf(headers: Headers, url: URL): string {
  const given = headers.location;
  // Node reads headers as Latin-1; servers write UTF-8.
  const text = given === undefined ? "" : Buffer.from(given, "latin1").toString("utf8");
  if (text !== "" && URL.canParse(text, url.href)) return new URL(text, url.href).href;
  throw new CrawlFailure("ERR_NETWORK", `${url.href}: a redirect to ${JSON.stringify(text)}, which is no address`);
}

/** What a request that broke says, with the reason of undici or the system. */
function asFailure(error: unknown, url: URL): CrawlFailure {
  const cause = (error as { cause?: unknown }).cause;
  if (error instanceof CrawlFailure) return error;
  if (cause instanceof CrawlFailure) return cause;
  const { code, message } = error as { code?: string; message?: string };
  const reason = REASONS[code ?? ""] ?? `${message}${code === undefined ? "" : ` (${code})`}`;
  const retry = !LASTING.test(code ?? "");
  return new CrawlFailure("ERR_NETWORK", `${url.href}: ${reason}`, { retry, cause: error });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the host refuses connections",
  ECONNRESET: "the connection was broken off",
  ENOTFOUND: "there is no host of this name, or no network",
  EAI_AGAIN: "the host's name cannot be looked up now",
  UND_ERR_SOCKET: "the connection was broken off",
  UND_ERR_CONNECT_TIMEOUT: "no connection within stall_timeout",
  UND_ERR_HEADERS_TIMEOUT: "no answer within stall_timeout",
  UND_ERR_BODY_TIMEOUT: "nothing more came for stall_timeout",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the body is shorter or longer than announced",
  UND_ERR_HEADERS_OVERFLOW: "too many bytes of headers",
  Z_BUF_ERROR: "the packed body ends too early",
  Z_DATA_ERROR: "the packed body is damaged",
};

function flatten(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const pairs = Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]);
  return Object.fromEntries(pairs.filter(([, value]) => value !== undefined)) as Record<string, string>;
}
