import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIPv6 } from "node:net";
import { hostname } from "node:os";
import type { PageData, PageEvents } from "../page-data.js";
import { Access } from "./access.js";
import { type Answer, answerCommand, type Controls, refusal } from "./control.js";
import { EventClients } from "./event-clients.js";
import { type ListenOptions, listen } from "./listen.js";
import type { PictureShelf } from "./picture-shelf.js";

/** What a server shows. */
export interface PageSource {
  /** All of it, as it is now. */
  page(): PageData;
  /** Undefined: there is nothing to steer. */
  controls?: Controls | undefined;
}

export interface PageServerOptions extends ListenOptions {
  source: PageSource;
  /** The page's HTML. */
  render(data: PageData): Promise<string>;
  pictures: PictureShelf;
  /** Whether the process may end while the server runs. */
  background?: boolean | undefined;
  /** Milliseconds after which a client that takes nothing of what is sent to it is let go. */
  idleMs?: number | undefined;
}

/** Open connections, of which each page has a few. */
const MOST_CONNECTIONS = 512;
/** Milliseconds that a client has for sending its request. */
const REQUEST_MS = 10_000;
/** Each may have a whole page waiting for it. Longer than a heartbeat of those that follow. */
const IDLE_MS = 60_000;
/** Milliseconds that clients get for what was sent last. */
const FAREWELL_MS = 3000;

const HEADERS = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // What else the page may do it says itself.
  "content-security-policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
} as const;

/**
 * Serves the page, its pictures and its events, and takes commands. It follows a run and never holds it up: whatever a
 * client does is the client's affair.
 */
export class PageServer {
  private readonly clients = new EventClients();

  private constructor(
    private readonly options: PageServerOptions,
    private readonly server: Server,
    private readonly address: AddressInfo,
    private readonly access: Access,
  ) {
    server.on("request", (request, response) => void this.handle(request, response));
    // A connection that could not be taken, as where memory is short, is not the run's end.
    server.on("error", () => {});
    // A client that speaks no HTTP.
    server.on("clientError", (_, socket) => void socket.destroy());
    if (options.background === true) server.on("connection", (socket) => socket.unref());
    if (options.background === true) server.unref();
  }

  /**
   * Throws `ERR_PORT_IN_USE`, `ERR_CONFIG` for a host that is none of this machine's, and what `render` throws where
   * the page cannot be made at all.
   */
  static async open(options: PageServerOptions): Promise<PageServer> {
    await options.render(options.source.page());
    const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, keepAliveTimeout: 5000 });
    server.maxConnections = MOST_CONNECTIONS;
    server.setTimeout(options.idleMs ?? IDLE_MS);
    const address = await listen(server, options);
    return new PageServer(options, server, address, new Access(options.host, address));
  }

  get port(): number {
    return this.address.port;
  }

  /** Whether others than this machine can reach it. */
  get isPublic(): boolean {
    return !this.access.local;
  }

  /** With the token: who has this may steer the run. */
  get url(): string {
    const { token, local } = this.access;
    const { host } = this.options;
    const shown = host === "0.0.0.0" || host === "::" ? hostname() : isIPv6(host) ? `[${host}]` : host;
    return `http://${shown}:${this.port}/${local ? "#" : "?"}token=${token}`;
  }

  /** Pages that are open. */
  get viewers(): number {
    return this.clients.count;
  }

  /** Tells all pages that are open. */
  send<E extends keyof PageEvents>(event: E, data: PageEvents[E]): void {
    if (this.clients.count > 0) this.clients.send(event, JSON.stringify(data));
  }

  /** Whether the process may end while the server runs. */
  keepProcess(keep: boolean): void {
    if (keep) this.server.ref();
    else this.server.unref();
  }

  /** What was sent last still goes out. */
  async close(): Promise<void> {
    this.clients.close();
    const farewell = setTimeout(() => this.server.closeAllConnections(), FAREWELL_MS);
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeIdleConnections();
    });
    clearTimeout(farewell);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    try {
      for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
      await this.route(request, response);
    } catch {
      if (response.headersSent) response.destroy();
      else sendText(response, 500, "The page could not be made.");
    }
  }

  private async route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { headers, method = "", url = "" } = request;
    if (!this.access.knowsHost(headers.host)) {
      return sendText(response, 403, "This server has another name. Open the address that was printed when it began.");
    }
    const [path = "", query = ""] = url.split("?", 2);
    if (path === "/control") return this.takeCommand(request, response);
    if (method !== "GET" && method !== "HEAD") return notAllowed(response, "GET, HEAD");
    const token = path === "/" ? new URLSearchParams(query).get("token") : null;
    if (token !== null && this.access.isToken(token)) return this.letIn(response);
    if (!this.access.mayLook(headers, this.port)) {
      return sendText(response, 401, "Open the address with its token, as it was printed when the server began.");
    }
    if (path === "/") return this.sendPage(response);
    // Another site's page could not read what comes, but take the places of those that can.
    if (!this.access.fromOwnPage(headers)) return sendText(response, 403, "This is for this server's own page.");
    if (path === "/events") return this.follow(response, method);
    const [, number] = /^\/pictures\/(\d{1,9})$/.exec(path) ?? [];
    if (number !== undefined) return this.sendPicture(response, Number(number), headers["if-none-match"]);
    if (path === "/favicon.ico") return void response.writeHead(204).end();
    return sendText(response, 404, "There is nothing here.");
  }

  private async sendPage(response: ServerResponse): Promise<void> {
    const html = await this.options.render(this.options.source.page());
    response.setHeader("cache-control", "no-store");
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(html);
  }

  /** The token moves from the address, which stays in the history, into a cookie and into what servers never see. */
  private letIn(response: ServerResponse): void {
    response.setHeader("set-cookie", this.access.cookie(this.port));
    response.setHeader("cache-control", "no-store");
    response.writeHead(303, { location: `./#token=${this.access.token}` }).end();
  }

  private follow(response: ServerResponse, method: string): void {
    if (method !== "GET") notAllowed(response, "GET");
    else if (this.clients.full) {
      response.setHeader("retry-after", "10");
      sendText(response, 503, "Too many pages are open.");
    } else this.clients.add(response, { event: "page", json: JSON.stringify(this.options.source.page()) });
  }

  private async sendPicture(response: ServerResponse, number: number, known: string | undefined): Promise<void> {
    // The port may have been another server's before.
    const etag = `"${this.access.publicId}-${number}"`;
    const picture = await this.options.pictures.read(number);
    if (picture === undefined) return sendText(response, 404, "There is no such picture.");
    response.setHeader("cache-control", "private, no-cache");
    response.setHeader("etag", etag);
    if (known === etag) return void response.writeHead(304).end();
    response.writeHead(200, { "content-type": picture.type, "content-length": picture.bytes.length });
    response.end(picture.bytes);
  }

  private async takeCommand(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST") return notAllowed(response, "POST");
    const answer = this.refuseCommand(request) ?? (await answerCommand(request, this.options.source.controls));
    // What is left of a body that was not read must not be taken for the next request.
    if (!request.complete) response.setHeader("connection", "close");
    response.setHeader("cache-control", "no-store");
    response.writeHead(answer.status, { "content-type": "application/json" }).end(JSON.stringify(answer.body));
  }

  private refuseCommand({ headers }: IncomingMessage): Answer | undefined {
    if (!this.access.fromOwnPage(headers)) return refusal(403, "commands are taken from this server's own page alone");
    if (this.access.hasBearer(headers)) return undefined;
    return refusal(401, "commands need the token", "Open the address with its token, as it was printed at the start.");
  }
}

function notAllowed(response: ServerResponse, allow: string): void {
  response.setHeader("allow", allow);
  sendText(response, 405, `Allowed here: ${allow}.`);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(`${text}\n`);
}
