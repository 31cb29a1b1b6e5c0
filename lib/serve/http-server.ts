import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { VlmR1Error } from "../errors/index.js";
import { type AccessRules, allowOrigin, checkHost, checkKey } from "./access.js";
import { type ApiError, stopping, toApiError } from "./api-error.js";
import type { ChatService } from "./chat.js";
import { breakOff, finishWithin, sendError } from "./http-answer.js";
import { CLIENT_GONE, Lifetime } from "./lifetime.js";
import { answerHealth, answerRoute, findRoute, type State, stillLoading } from "./routes.js";

/** One exchange that has ended. */
export interface RequestRecord {
  method: string;
  path: string;
  /** 499: the client went away. */
  status: number;
  milliseconds: number;
  promptTokens: number;
  completionTokens: number;
  /** What the client was told where it was refused. */
  message?: string;
}

export interface HttpOptions extends AccessRules {
  port: number;
  maxConnections: number;
  /** Seconds. */
  receiveTimeout: number;
  requestTimeout: number;
  onRequest?: ((record: RequestRecord) => void) | undefined;
  /** A failure that is the server's. */
  onError?: ((error: unknown) => void) | undefined;
}

/** Milliseconds for handlers to end once they were told to. */
const LAST_WORDS = 1000;

/** The listener: checks who asks, hands requests on, and sees each of them to its end. */
export class HttpServer {
  private readonly server: Server;
  private readonly lifetimes = new Set<Lifetime>();
  private service: ChatService | undefined;
  private state: State = "loading";

  constructor(private readonly options: HttpOptions) {
    const { maxConnections, receiveTimeout } = options;
    const requestTimeout = Math.ceil(receiveTimeout * 1000);
    const timeouts = { requestTimeout, headersTimeout: requestTimeout };
    const connectionsCheckingInterval = Math.min(1000, Math.ceil(requestTimeout / 2));
    this.server = createServer({ ...timeouts, connectionsCheckingInterval }, (request, response) => {
      void this.handle(request, response);
    });
    this.server.maxConnections = maxConnections;
    // A client may send many requests at once over one connection, each of which watches it.
    this.server.on("connection", (socket) => socket.setMaxListeners(0));
  }

  /** Resolves to the port. */
  async listen(): Promise<number> {
    const { host, port } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", (error) => reject(listenError(error, host, port)));
      this.server.listen(port, host.replace(/^\[(.*)\]$/, "$1"), resolve);
    });
    this.server.on("error", (error) => this.options.onError?.(error));
    return (this.server.address() as AddressInfo).port;
  }

  ready(service: ChatService): void {
    this.service = service;
    if (this.state === "loading") this.state = "ready";
  }

  /** Takes no new connections and no new work, waits for what is under way, and then ends what is left. */
  async stop(milliseconds: number): Promise<void> {
    this.state = "stopping";
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    await this.service?.admission.close(milliseconds);
    for (const lifetime of this.lifetimes) lifetime.abort(stopping());
    await this.service?.admission.close(LAST_WORDS);
    await this.service?.scheduler.close(stopping());
    this.server.closeIdleConnections();
    const timer = setTimeout(() => this.server.closeAllConnections(), LAST_WORDS);
    await closed;
    clearTimeout(timer);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    const lifetime = new Lifetime(request, this.options.requestTimeout);
    this.lifetimes.add(lifetime);
    const usage = { promptTokens: 0, completionTokens: 0 };
    let refused: ApiError | undefined;
    let isWork = true;
    try {
      const { signal } = lifetime;
      const exchange = { request, response, signal, stall: () => lifetime.stall(), usage };
      isWork = await this.answer(exchange);
    } catch (error) {
      refused = toApiError(lifetime.explain(error));
      // The client first: a program's callback may throw.
      if (refused.status !== CLIENT_GONE) (response.headersSent ? breakOff : sendError)(response, refused);
      if (refused.status >= 500 && refused.cause !== undefined) this.options.onError?.(refused.cause);
    } finally {
      lifetime.end();
      finishWithin(response, this.options.receiveTimeout * 1000);
      this.lifetimes.delete(lifetime);
    }
    if (!isWork) return;
    const status = refused?.status ?? response.statusCode;
    this.service?.counters.count(status);
    const message = refused === undefined ? {} : { message: refused.message };
    const path = request.url?.split("?")[0] ?? "";
    const milliseconds = performance.now() - started;
    this.options.onRequest?.({ method: request.method ?? "", path, status, milliseconds, ...usage, ...message });
  }

  /** Whether it was a piece of work, which is counted and told. */
  private async answer(exchange: Parameters<typeof answerRoute>[2]): Promise<boolean> {
    const { request, response } = exchange;
    const { options, state, service } = this;
    if (state === "stopping") response.setHeader("Connection", "close");
    checkHost(request, options);
    allowOrigin(request, response, options);
    if (request.method === "OPTIONS") {
      response.writeHead(204).end();
      return false;
    }
    const { path, route } = findRoute(request);
    if (route.always === true) {
      answerHealth(response, state);
      return false;
    }
    checkKey(request, options);
    if (service === undefined) throw state === "stopping" ? stopping() : stillLoading();
    await answerRoute(path, service, exchange);
    return route.work === true;
  }
}

const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "not allowed to use this port",
  ENOTFOUND: "there is no such host name",
};

function listenError(error: NodeJS.ErrnoException, host: string, port: number): VlmR1Error {
  const reason = LISTEN_REASONS[error.code ?? ""] ?? error.message;
  const hint =
    error.code === "EADDRINUSE" ? "End the other server, or choose another port; 0 takes one that is free." : undefined;
  return new VlmR1Error("ERR_NETWORK", `cannot listen on ${host}:${port}: ${reason}`, { hint, cause: error });
}
