import { listFiles, modelInfo } from "@huggingface/hub";
import { throwIfAborted, VlmR1Error } from "../errors/index.js";
import type { RemoteFile } from "./files.js";
import { isCommit } from "./names.js";
import { Patience, parseRetryAfter, Transient } from "./patience.js";
import { type Question, refusal } from "./refusal.js";
import type { HubSettings } from "./settings.js";
import { Watchdog } from "./watchdog.js";

export interface Listener {
  signal?: AbortSignal | undefined;
  /** Something that the user should know, and that stops nothing. */
  onNotice?: ((message: string) => void) | undefined;
}

type Headers = Record<string, string>;

/** What one repository is asked. */
export class HubClient {
  constructor(
    private readonly settings: HubSettings,
    private readonly repository: string,
    private readonly listener: Listener,
  ) {}

  /** The commit that a branch or a tag stands for now. */
  async commitOf(revision: string, tries: number): Promise<string> {
    if (isCommit(revision)) return revision;
    const { sha } = await this.ask(revision, tries, (options) =>
      modelInfo({ ...options, name: this.repository, revision, additionalFields: ["sha"] }),
    );
    if (typeof sha === "string" && isCommit(sha)) return sha;
    throw this.nonsense(`commit "${sha}" for revision "${revision}"`);
  }

  /** Files of the top folder. */
  async files(commit: string, tries: number): Promise<RemoteFile[]> {
    return this.ask(commit, tries, async (options) => {
      const files: RemoteFile[] = [];
      const repo = { type: "model", name: this.repository } as const;
      for await (const { type, path, size, oid, lfs } of listFiles({ ...options, repo, revision: commit })) {
        if (type !== "file") continue;
        const blob = lfs?.oid ?? oid ?? "";
        // It becomes a file's name in the cache.
        if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(blob)) throw this.nonsense(`checksum "${blob}" for ${path}`);
        files.push({ path, blob, size: lfs?.size ?? size });
      }
      return files;
    });
  }

  /**
   * One try to read a file from byte `offset` on: 200 (all of it), 206 or 416. `signal` covers the body too.
   * Throws `Transient` where another try may help.
   */
  async open({ path }: RemoteFile, commit: string, offset: number, signal: AbortSignal): Promise<Response> {
    const { endpoint } = this.settings;
    const url = `${endpoint}/${this.repository}/resolve/${commit}/${encodeURIComponent(path)}`;
    // Compressed bytes could be neither counted nor continued.
    const headers: Headers = { "accept-encoding": "identity" };
    if (offset > 0) headers.range = `bytes=${offset}-`;
    return this.request(url, headers, signal, this.question(commit, path));
  }

  /** Turns what breaks in the middle of a body into `Transient`. */
  broken(error: unknown, what: string): Transient {
    throwIfAborted(this.listener.signal);
    return new Transient(`the connection to ${this.host} broke during ${what}: ${networkReason(error)}`, {
      cause: error,
    });
  }

  get host(): string {
    return new URL(this.settings.endpoint).host;
  }

  patience(tries: number): Patience {
    const { signal, onNotice } = this.listener;
    return new Patience(tries, this.settings.retry, signal, onNotice);
  }

  private async ask<T>(
    revision: string,
    tries: number,
    use: (options: { hubUrl: string; fetch: typeof fetch }) => Promise<T>,
  ): Promise<T> {
    const patience = this.patience(tries);
    const question = this.question(revision);
    for (;;) {
      const watchdog = new Watchdog(this.settings.timeout, this.listener.signal);
      const send = (url: unknown, init?: { headers?: unknown }) => {
        watchdog.touch();
        return this.request(String(url), init?.headers as Headers, watchdog.signal, question);
      };
      try {
        return await use({ hubUrl: this.settings.endpoint, fetch: send as typeof fetch });
      } catch (error) {
        if (error instanceof VlmR1Error) throw error;
        if (error instanceof SyntaxError) throw this.nonsense("something that is not JSON", error);
        await patience.afterFailure(error instanceof Transient ? error : this.broken(error, "a question"));
      } finally {
        watchdog.stop();
      }
    }
  }

  private async request(url: string, headers: Headers, signal: AbortSignal, question: Question): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(url, { headers: { ...headers, ...this.authorisation(url) }, signal });
    } catch (error) {
      throwIfAborted(this.listener.signal);
      throw new Transient(`${new URL(url).host} cannot be reached: ${networkReason(error)}`, { cause: error });
    }
    const { status } = response;
    if (response.ok || status === 416) return response;
    if (status < 500 && status !== 429 && status !== 408) throw await refusal(response, question);
    await response.body?.cancel();
    const askedWait = parseRetryAfter(response.headers.get("Retry-After"));
    throw new Transient(`${new URL(response.url).host} answered ${status}`, { askedWait });
  }

  /** The token is for the Hub alone; fetch takes it away by itself when it is redirected to another server. */
  private authorisation(url: string): Headers {
    const { endpoint, token } = this.settings;
    const trusted = new URL(url).origin === new URL(endpoint).origin;
    return token !== undefined && trusted ? { authorization: `Bearer ${token}` } : {};
  }

  private question(revision: string, file?: string): Question {
    const { endpoint, token } = this.settings;
    const question = { repository: this.repository, revision, endpoint, authorised: token !== undefined };
    return file === undefined ? question : { ...question, file };
  }

  private nonsense(what: string, cause?: unknown): VlmR1Error {
    return new VlmR1Error("ERR_NETWORK", `${this.settings.endpoint} answered ${what}`, {
      hint: "Check that HF_ENDPOINT is a Hugging Face Hub, and that no proxy or login page stands before it.",
      cause,
    });
  }
}

/** fetch says "fetch failed"; what happened is the cause of that. */
function networkReason(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: unknown; message?: unknown }; message?: unknown };
  return String(cause?.message || cause?.code || message || error);
}
