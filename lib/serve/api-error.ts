import { VlmR1Error } from "../errors/index.js";
import { excerpt } from "./shown.js";

export interface ApiErrorOptions {
  /** OpenAI's family of errors; by the status unless given. */
  type?: string;
  /** The field that is wrong: `messages[0].content`. */
  param?: string | undefined;
  code?: string | undefined;
  headers?: Readonly<Record<string, string>>;
  cause?: unknown;
}

/** What a client is told: an HTTP status, and OpenAI's `{error: {message, type, param, code}}`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly headers: Readonly<Record<string, string>>;
  private readonly type: string;
  private readonly param: string | null;
  private readonly code: string | null;

  constructor(
    readonly status: number,
    message: string,
    options: ApiErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.type = options.type ?? (status < 500 ? "invalid_request_error" : "server_error");
    this.param = options.param ?? null;
    this.code = options.code ?? null;
    this.headers = options.headers ?? {};
  }

  toJSON(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

/** A value of a request that is wrong or not supported. */
export function badRequest(message: string, param?: string, code = "invalid_value"): ApiError {
  return new ApiError(400, message, { param, code });
}

export function noModel(asked: string, served: string): ApiError {
  return new ApiError(404, `the model "${excerpt(asked)}" is not here; this server has "${served}"`, {
    param: "model",
    code: "model_not_found",
  });
}

export function stopping(): ApiError {
  return new ApiError(503, "the server is being stopped", { code: "shutting_down", headers: { "Retry-After": "10" } });
}

/** Faults of what a request brought; all others are the server's. */
const OF_THE_REQUEST: ReadonlySet<string> = new Set([
  "ERR_DATA",
  "ERR_IMAGE",
  "ERR_TEMPLATE",
  "ERR_TOKENS",
  "ERR_ARGUMENT",
]);

/** What a client is told of an error: its own faults in full, of the server's only that there was one. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof VlmR1Error && OF_THE_REQUEST.has(error.code)) {
    const hint = error.hint === undefined ? "" : `. ${error.hint}`;
    return new ApiError(400, error.message + hint, { param: "messages", code: error.code.toLowerCase(), cause: error });
  }
  if (error instanceof VlmR1Error && error.code === "ERR_OUT_OF_MEMORY") {
    const message = "there is not enough memory for this request now: send a shorter one, or try again";
    return new ApiError(503, message, { code: "out_of_memory", headers: { "Retry-After": "5" }, cause: error });
  }
  return new ApiError(500, "the server failed at this request; its log says why", {
    code: "internal_error",
    cause: error,
  });
}
