import { type ErrorCode, VlmR1Error } from "../../errors/index.js";

export interface FailureOptions {
  /** Another try in a moment may go better. */
  retry?: boolean;
  /** A later crawl should try again; as `retry` unless given. */
  later?: boolean;
  /** Milliseconds that the server asked to wait. */
  askedWait?: number | undefined;
  /** Of HTTP. */
  status?: number;
  /** That refused, or was refused. */
  host?: string;
  hint?: string | undefined;
  cause?: unknown;
}

/** One page or picture could not be had; the crawl goes on without it. */
export class CrawlFailure extends VlmR1Error {
  readonly retry: boolean;
  readonly later: boolean;
  readonly askedWait: number | undefined;
  readonly status: number | undefined;
  readonly host: string | undefined;
  /** How often it was tried. */
  tries = 1;

  constructor(code: ErrorCode, message: string, options: FailureOptions = {}) {
    super(code, message, { hint: options.hint, cause: options.cause });
    this.retry = options.retry ?? false;
    this.later = options.later ?? this.retry;
    this.askedWait = options.askedWait;
    this.status = options.status;
    this.host = options.host;
  }
}

/** What went wrong with a page, a picture or an item, as the report lists it. */
export interface CrawlProblem {
  kind: "page" | "picture" | "item";
  url: string;
  /** Page on which a picture or an item stands. */
  page?: string | undefined;
  code: string;
  message: string;
  tries: number;
  /** `--resume` tries it again. */
  later: boolean;
}

/** Problem of a page or a picture. */
export function problemOf(kind: CrawlProblem["kind"], url: string, error: VlmR1Error): CrawlProblem {
  const failure = error instanceof CrawlFailure ? error : undefined;
  return {
    kind,
    url,
    code: error.code,
    message: error.message,
    tries: failure?.tries ?? 1,
    later: failure?.later ?? false,
  };
}
