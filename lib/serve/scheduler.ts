import type { DecodedToken, DecodeRequest, Decoder } from "../engine/index.js";
import { abortReason, throwIfAborted, VlmR1Error } from "../errors/index.js";

/** Why a row ended: by an end token, by its length, or as its owner had enough. */
export type RowEnd = "stop" | "length" | "enough";

/** One completion that grows. Its functions are called from the loop, so they must not wait or throw. */
export interface Row {
  request: Omit<DecodeRequest, "id">;
  /** New tokens, in order; false: enough, the row is to end. */
  take(tokens: readonly DecodedToken[]): boolean;
  end(reason: RowEnd): void;
}

type OpenDecoder = () => Pick<Decoder, "add" | "remove" | "step" | "dispose">;

interface Job {
  ids: Set<number>;
  resolve(): void;
  reject(error: unknown): void;
}

interface Live {
  row: Row;
  job: Job;
}

/** Tokens reach their clients after each step, and new rows join. */
const STEP_MILLISECONDS = 10;

/**
 * Lets the rows of all requests grow in one batch: one loop over the decoder, which gives tokens to their rows. When the
 * decoder fails, the requests that are under way fail with it, and the next one gets a new decoder.
 */
export class Scheduler {
  private decoder: ReturnType<OpenDecoder> | undefined;
  private readonly live = new Map<number, Live>();
  private nextId = 0;
  private closed: { error: unknown } | undefined;
  private wake: () => void = () => {};
  private readonly loop: Promise<void>;

  constructor(private readonly openDecoder: OpenDecoder) {
    this.loop = this.run();
  }

  /** Rows that have not ended. */
  get size(): number {
    return this.live.size;
  }

  /**
   * Resolves when all rows have ended. Rejects as soon as one fails, when the decoder does not take them (`ERR_TOKENS`,
   * `ERR_ARGUMENT`) and with the reason of `signal`; what is left of the rows is removed then.
   */
  async complete(rows: readonly Row[], signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.closed !== undefined) throw this.closed.error;
    this.decoder ??= this.openDecoder();
    const { decoder } = this;
    const first = this.nextId;
    this.nextId += rows.length;
    const requests = rows.map(({ request }, index) => ({ ...request, id: first + index }));
    let abort = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        const job: Job = { ids: new Set(requests.map(({ id }) => id)), resolve, reject };
        abort = () => this.drop(job, abortReason(signal));
        signal.addEventListener("abort", abort, { once: true });
        for (const [index, row] of rows.entries()) this.live.set(first + index, { row, job });
        decoder.add(requests).catch((error: unknown) => this.drop(job, error));
        this.wake();
      });
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Ends everything that is under way with `error`. */
  async close(error: unknown): Promise<void> {
    this.closed ??= { error };
    this.dropAll(error);
    this.wake();
    await this.loop;
    this.decoder?.dispose();
    this.decoder = undefined;
  }

  private async run(): Promise<void> {
    while (this.closed === undefined) {
      if (this.live.size === 0) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        continue;
      }
      try {
        await this.step();
      } catch (error) {
        this.decoder?.dispose();
        this.decoder = undefined;
        this.dropAll(error);
      }
    }
  }

  private async step(): Promise<void> {
    const { news, finished } = await this.decoder!.step({ maxMilliseconds: STEP_MILLISECONDS });
    const byRow = new Map<number, DecodedToken[]>();
    for (const token of news) {
      const own = byRow.get(token.id);
      if (own === undefined) byRow.set(token.id, [token]);
      else own.push(token);
    }
    const enough: number[] = [];
    for (const [id, tokens] of byRow) {
      const live = this.live.get(id);
      if (live === undefined || live.row.take(tokens)) continue;
      enough.push(id);
      this.end(id, "enough");
    }
    this.remove(enough);
    for (const { id, finishReason, message } of finished) {
      if (finishReason !== "error") this.end(id, finishReason);
      else this.failRow(id, new VlmR1Error("ERR_DECODE", message));
    }
  }

  private end(id: number, reason: RowEnd): void {
    const live = this.live.get(id);
    if (live === undefined) return;
    this.live.delete(id);
    live.row.end(reason);
    live.job.ids.delete(id);
    if (live.job.ids.size === 0) live.job.resolve();
  }

  private failRow(id: number, error: unknown): void {
    const live = this.live.get(id);
    if (live !== undefined) this.drop(live.job, error);
  }

  /** Takes a request's rows out of the batch. */
  private drop(job: Job, error: unknown): void {
    for (const id of job.ids) this.live.delete(id);
    this.remove([...job.ids]);
    job.ids.clear();
    job.reject(error);
  }

  private dropAll(error: unknown): void {
    for (const job of new Set([...this.live.values()].map((live) => live.job))) this.drop(job, error);
  }

  private remove(ids: readonly number[]): void {
    // A decoder that cannot even forget a row fails at its next step, which says so to all.
    if (ids.length > 0) this.decoder?.remove(ids).catch(() => undefined);
  }
}
