import type { ServerResponse } from "node:http";

/** Pages that may be open at once. */
const MOST_CLIENTS = 64;
/** Bytes that may wait for a client beyond the page it got first. */
const MOST_WAITING = 1 << 20;
const HEARTBEAT_MS = 15_000;
/** After which a browser that has lost the connection tries again. */
const RETRY_MS = 2000;

/**
 * Those who follow by server-sent events. Nobody is waited for: who does not read is cut off once a bounded amount waits
 * for it, and a browser then comes again and gets the whole page.
 */
export class EventClients {
  /** How much may wait for each. */
  private readonly clients = new Map<ServerResponse, number>();
  private readonly heartbeat: NodeJS.Timeout;
  private eventId = 0;

  constructor(heartbeatMs = HEARTBEAT_MS) {
    this.heartbeat = setInterval(() => this.write(":\n\n"), heartbeatMs).unref();
  }

  get count(): number {
    return this.clients.size;
  }

  get full(): boolean {
    return this.clients.size >= MOST_CLIENTS;
  }

  /** @param first What the client starts with, an event's name and its data as JSON. */
  add(response: ServerResponse, first: { event: string; json: string }): void {
    response.on("close", () => this.clients.delete(response));
    response.on("error", () => this.clients.delete(response));
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    const text = `retry: ${RETRY_MS}\n\n${this.format(first.event, first.json)}`;
    this.clients.set(response, Buffer.byteLength(text) + MOST_WAITING);
    response.write(text);
  }

  /** Tells all of them. */
  send(event: string, json: string): void {
    if (this.clients.size === 0) return;
    const text = this.format(event, json);
    // Whole pages may be larger than what waits otherwise.
    const bytes = Buffer.byteLength(text);
    for (const [client, most] of this.clients) if (bytes > most) this.clients.set(client, bytes + MOST_WAITING);
    this.write(text);
  }

  /** Ends all connections, behind what was sent. */
  close(): void {
    clearInterval(this.heartbeat);
    for (const client of this.clients.keys()) client.end();
    this.clients.clear();
  }

  private write(text: string): void {
    for (const [client, most] of this.clients) {
      if (client.writableLength > most) {
        this.clients.delete(client);
        client.destroy();
      } else client.write(text);
    }
  }

  private format(event: string, json: string): string {
    this.eventId += 1;
    return `id: ${this.eventId}\nevent: ${event}\ndata: ${json}\n\n`;
  }
}
