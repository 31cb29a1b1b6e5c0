import { VlmR1Error } from "../../errors/index.js";
import { parseRetryAfter, sleep, Transient } from "../../hub/patience.js";

export interface ChatClientOptions {
  baseUrl: string;
  apiKey: string | undefined;
  /** How often a request that failed for the moment is repeated. */
  retries: number;
  /** Milliseconds before the first repetition; they double, up to `longestPause`. */
  firstPause: number;
}

const LONGEST_PAUSE = 30_000;
const SHOWN_BODY = 200;
/** A score takes a few hundred bytes; a server that sends more is no chat server. */
const MAX_BODY_BYTES = 4 * 2 ** 20;

/**
 * Asks an OpenAI-compatible server for a chat completion and returns its text. Cut connections, 408, 425, 429 and 5xx
 * are tried again after growing pauses, or after what `Retry-After` says; all else throws `ERR_REWARD` at once. The key
 * never appears in a message.
 */
export class ChatClient {
  constructor(private readonly options: ChatClientOptions) {}

  async ask(body: string, signal: AbortSignal): Promise<string> {
    const { retries, firstPause } = this.options;
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.askOnce(body, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Transient)) throw error;
        if (failures >= retries) throw this.giveUp(error, failures + 1);
        await sleep(error.askedWait ?? Math.min(LONGEST_PAUSE, firstPause * 2 ** failures), signal);
      }
    }
  }

  private get url(): string {
    return `${this.options.baseUrl.replace(/\/$/, "")}/chat/completions`;
  }

  private async askOnce(body: string, signal: AbortSignal): Promise<string> {
    const { apiKey } = this.options;
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (apiKey !== undefined) headers.Authorization = `Bearer ${apiKey}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.url, { method: "POST", headers, body, signal });
      text = await readText(response);
    } catch (error) {
      throw new Transient(`cannot reach ${this.url}: ${reasonOf(error)}`, { cause: error });
    }
    if (!response.ok) throw this.refusal(response, text);
    return this.reply(text);
  }

  private refusal(response: Response, text: string): Error {
    const { status, headers } = response;
    const message = `${this.url} answered ${status}: ${this.shown(text)}`;
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      return new Transient(message, { askedWait: parseRetryAfter(headers.get("Retry-After")) });
    }
    const hint =
      status === 401 || status === 403 ? "Set the variable that api_key_env names to a valid key." : undefined;
    return new VlmR1Error("ERR_REWARD", message, { hint });
  }

  private reply(text: string): string {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new VlmR1Error("ERR_REWARD", `${this.url} answered no JSON: ${this.shown(text)}`, { cause });
    }
    const content = (value as { choices?: { message?: { content?: unknown } }[] } | null)?.choices?.[0]?.message
      ?.content;
    if (typeof content === "string") return content;
    throw new VlmR1Error("ERR_REWARD", `${this.url}: expected choices[0].message.content, got ${this.shown(text)}`);
  }

  private giveUp(problem: Transient, tries: number): VlmR1Error {
    return new VlmR1Error("ERR_NETWORK", `${problem.message} (${tries} tries)`, {
      hint: "Lower reward_concurrency, or raise the judge's retries and reward_timeout.",
      cause: problem,
    });
  }

  /** The beginning of a body for a message; a server may repeat the key it got. */
  private shown(text: string): string {
    const { apiKey } = this.options;
    const safe = apiKey === undefined || apiKey === "" ? text : text.replaceAll(apiKey, "***");
    return JSON.stringify(safe.length > SHOWN_BODY ? `${safe.slice(0, SHOWN_BODY)}…` : safe);
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).byteLength;
    if (bytes > MAX_BODY_BYTES) break;
    text += decoder.decode(chunk as Uint8Array, { stream: true });
  }
  return text + decoder.decode();
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message} (${cause.message})` : error.message;
}
