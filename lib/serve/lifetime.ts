import type { IncomingMessage } from "node:http";
import { ApiError } from "./api-error.js";

/** Not a status of HTTP, but what logs call it since nginx: nobody is there to be told. */
export const CLIENT_GONE = 499;

/** How long one exchange may go on: until its client goes away, its time is over, or the server ends it. */
export class Lifetime {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private readonly gone = () => this.abort(new ApiError(CLIENT_GONE, "the client went away"));

  constructor(
    private readonly request: IncomingMessage,
    seconds: number,
  ) {
    this.timer = setTimeout(() => this.abort(outOfTime(seconds)), seconds * 1000);
    request.socket.once("close", this.gone);
    if (request.socket.destroyed) this.gone();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  abort(reason: ApiError): void {
    this.controller.abort(reason);
  }

  /** Ends a connection whose client does not read, and with it the exchange. */
  stall(): void {
    this.abort(new ApiError(CLIENT_GONE, "the client does not read its answer"));
    this.request.socket.destroy();
  }

  /** The error as the exchange's end: a broken connection is met first by whoever reads from it. */
  explain(error: unknown): unknown {
    if (this.signal.aborted) return this.signal.reason;
    return this.request.socket.destroyed ? new ApiError(CLIENT_GONE, "the client went away") : error;
  }

  end(): void {
    clearTimeout(this.timer);
    this.request.socket.removeListener("close", this.gone);
  }
}

function outOfTime(seconds: number): ApiError {
  return new ApiError(504, `the answer was not ready after ${seconds} seconds: ask for fewer tokens`, {
    code: "timeout",
    // The official clients would ask for the same again.
    headers: { "x-should-retry": "false" },
  });
}
