import type { ServerResponse } from "node:http";
import type { ApiError } from "./api-error.js";

/** Sends a whole answer. */
export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(text);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": bytes.length, ...headers });
  response.end(bytes);
}

export function sendJson(response: ServerResponse, value: unknown): void {
  sendText(response, 200, JSON.stringify(value));
}

export function sendError(response: ServerResponse, error: ApiError): void {
  sendText(response, error.status, JSON.stringify(error), error.headers);
}

/** Says so in a stream that has begun, which has no other status any more. */
export function breakOff(response: ServerResponse, error: ApiError): void {
  if (!response.destroyed) response.end(`data: ${JSON.stringify(error)}\n\n`);
}

/** Ends the connection of a client that does not take the rest of an answer that is complete. */
export function finishWithin(response: ServerResponse, milliseconds: number): void {
  if (response.writableFinished || response.destroyed) return;
  let timer = setTimeout(function check() {
    // Behind another answer on the same connection, it has not had its turn.
    if (response.socket === null) timer = setTimeout(check, milliseconds);
    else response.socket.destroy();
  }, milliseconds);
  const stop = () => clearTimeout(timer);
  response.once("finish", stop).once("close", stop);
}

/** What may wait for a client that reads slower than the model writes. */
const MOST_WAITING_BYTES = 2 ** 20;

/**
 * Server-sent events. Writing never waits: for a client that does not read, `onStall` is called after `stallMilliseconds`
 * without any progress, or as soon as a megabyte waits for it.
 */
export class EventStream {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly response: ServerResponse,
    private readonly stallMilliseconds: number,
    private readonly onStall: () => void,
  ) {
    response.on("drain", () => this.stopTimer());
    response.on("close", () => this.stopTimer());
  }

  send(event: unknown): void {
    this.write(`data: ${JSON.stringify(event)}\n\n`);
  }

  end(): void {
    this.write("data: [DONE]\n\n");
    this.response.end();
  }

  private write(text: string): void {
    const { response } = this;
    if (response.destroyed) return;
    if (!response.headersSent) {
      response.writeHead(200, {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache",
        // Proxies such as nginx collect answers otherwise.
        "X-Accel-Buffering": "no",
      });
    }
    if (response.write(text)) return;
    this.timer ??= setTimeout(this.onStall, this.stallMilliseconds);
    if (response.writableLength > MOST_WAITING_BYTES) this.onStall();
  }

  private stopTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
