import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { renderPage } from "../../lib/page/html.js";
import type { PageData, PageEvents } from "../../lib/page/page-data.js";

export interface ControlRequest {
  body: unknown;
  authorization: string | undefined;
}

/** A dashboard's server as the page sees it: the page, its events, and the controls. */
export class PageServer {
  readonly controls: ControlRequest[] = [];
  /** What the next control is answered with. */
  answer: { status: number; body: unknown } = { status: 200, body: { ok: true } };
  connections = 0;
  private readonly clients = new Set<ServerResponse>();
  private server: Server | undefined;
  private port = 0;

  constructor(public data: PageData) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** The second time on the same port. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.respond(request, response));
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  async stop(): Promise<void> {
    const { server } = this;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    this.clients.clear();
    await closed;
  }

  send<N extends keyof PageEvents>(event: N, value: PageEvents[N]): void {
    for (const client of this.clients) client.write(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`);
  }

  private async respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === "/") {
      response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end(await renderPage(this.data));
    } else if (request.url === "/events") {
      this.connections += 1;
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      this.clients.add(response);
      this.send("page", this.data);
    } else if (request.url === "/control" && request.method === "POST") {
      let text = "";
      for await (const part of request) text += String(part);
      this.controls.push({ body: JSON.parse(text), authorization: request.headers.authorization });
      const { status, body } = this.answer;
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    } else response.writeHead(404).end();
  }
}
