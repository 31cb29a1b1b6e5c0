import { AsyncLocalStorage } from "node:async_hooks";

/** What JavaScript did from `start` on; milliseconds of `performance.now()`. */
export interface Span {
  name: string;
  /** Spans of "main" follow or hold each other; those of "data" run side by side. */
  track: Track;
  start: number;
  duration: number;
  args: Readonly<Record<string, number | string>>;
}

export type Track = "main" | "data";

export interface SpanOptions {
  track?: Track;
  args?: Span["args"];
}

/** Far more than a profile's steps have; a bound all the same. */
const LIMIT = 200_000;

const current = new AsyncLocalStorage<SpanLog>();

/** Spans of the work that is started within `run`, also of what it starts and does not wait for. */
export class SpanLog {
  readonly spans: Span[] = [];
  /** Spans that there was no room for. */
  dropped = 0;
  private recording = true;

  run<T>(work: () => Promise<T>): Promise<T> {
    return current.run(this, work);
  }

  /** What ends later is not kept. */
  close(): void {
    this.recording = false;
  }

  add(span: Span): void {
    if (!this.recording) return;
    if (this.spans.length < LIMIT) this.spans.push(span);
    else this.dropped += 1;
  }
}

/** Does `work`, as a span of the profile that is being made, if there is one. */
export async function span<T>(name: string, work: () => Promise<T>, options: SpanOptions = {}): Promise<T> {
  const log = current.getStore();
  if (log === undefined) return work();
  const start = performance.now();
  try {
    return await work();
  } finally {
    log.add(ended(name, start, options));
  }
}

/** The same for work that is not waited for. */
export function spanSync<T>(name: string, work: () => T, options: SpanOptions = {}): T {
  const log = current.getStore();
  if (log === undefined) return work();
  const start = performance.now();
  try {
    return work();
  } finally {
    log.add(ended(name, start, options));
  }
}

function ended(name: string, start: number, { track = "main", args = {} }: SpanOptions): Span {
  return { name, track, start, duration: performance.now() - start, args };
}
