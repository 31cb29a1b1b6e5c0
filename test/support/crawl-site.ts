import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import sharp from "sharp";
import { afterAll } from "vitest";
import { type CrawlOptions, type CrawlResult, crawl, type SiteInput } from "../../lib/data/crawl/index.js";
import type { Clock } from "../../lib/data/crawl/pace.js";

export type Handler = (response: ServerResponse, request: IncomingMessage) => void;
/** What a path answers: a page, bytes, or one handler per request, the last one for all that follow. */
export type Route = string | Buffer | Handler | readonly Handler[];

/** A site on 127.0.0.1 that answers as it is told, and remembers what it was asked. */
export class CrawlSite {
  readonly asked: string[] = [];
  readonly requests: IncomingMessage[] = [];
  url = "";
  private readonly routes = new Map<string, Route>();
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => this.answer(request, response));
  }

  static async start(routes: Record<string, Route> = {}): Promise<CrawlSite> {
    const site = new CrawlSite();
    for (const [path, route] of Object.entries(routes)) site.on(path, route);
    await new Promise<void>((resolve) => site.server.listen(0, "127.0.0.1", resolve));
    site.url = `http://127.0.0.1:${(site.server.address() as AddressInfo).port}`;
    afterAll(() => site.stop());
    return site;
  }

  on(path: string, route: Route): void {
    this.routes.set(path, route);
  }

  /** How often a path was asked for. */
  count(path: string): number {
    return this.asked.filter((asked) => asked === path).length;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "";
    const before = this.count(path);
    this.asked.push(path);
    this.requests.push(request);
    response.on("error", () => undefined);
    const route = this.routes.get(path) ?? this.routes.get(path.replace(/\?.*/, ""));
    if (route === undefined) status(404)(response, request);
    else if (typeof route === "string") html(route)(response, request);
    else if (Buffer.isBuffer(route)) bytes(route)(response, request);
    else if (typeof route === "function") route(response, request);
    else (route[Math.min(before, route.length - 1)] as Handler)(response, request);
  }
}

export function html(text: string, headers: Record<string, string> = {}): Handler {
  return bytes(Buffer.from(text), { "Content-Type": "text/html; charset=utf-8", ...headers });
}

export function bytes(body: Buffer, headers: Record<string, string> = {}): Handler {
  return (response) => void response.writeHead(200, { "Content-Length": String(body.length), ...headers }).end(body);
}

export function status(code: number, headers: Record<string, string> = {}): Handler {
  return (response) => void response.writeHead(code, headers).end(`answer ${code}`);
}

export function redirect(to: string, code = 302): Handler {
  return status(code, { Location: to });
}

/** The first part of a body, then the end of the connection. */
export function cutAfter(text: string, headers: Record<string, string> = {}): Handler {
  return (response) => {
    response.writeHead(200, { "Content-Type": "text/html", ...headers });
    response.write(text, () => setTimeout(() => response.socket?.destroy(), 10));
  };
}

/** Bytes straight to the socket. */
export function raw(text: string): Handler {
  return (response) => void response.socket?.end(text);
}

/** A list page as the food site has it; an item's lines are HTML. */
export function listPage(...items: string[]): string {
  const list = items.map((item) => `<li>${item}</li>`).join("\n");
  return `<!doctype html><html><head><title>Foods</title></head><body><ul class="food-list">${list}</ul></body></html>`;
}

export function food(name: string, heat: string, image: string): string {
  return `<div class="img-box"><a href="/food/${name}"><img src="${image}"></a></div><h4><a>${name}</a></h4><p>热量：${heat}</p>`;
}

/** A small picture of one colour, as a PNG; colours differ by number. */
export function picture(colour: number, size = 24): Promise<Buffer> {
  const background = { r: (colour * 71) % 256, g: (colour * 29) % 256, b: (colour * 113) % 256 };
  return sharp({ create: { width: size, height: size, channels: 3, background } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

/** Time that passes where it is waited for. */
export class FakeClock implements Clock {
  readonly waits: number[] = [];
  private time = 0;

  now(): number {
    return this.time;
  }

  async sleep(milliseconds: number): Promise<void> {
    this.waits.push(Math.round(milliseconds));
    const until = this.time + milliseconds;
    await Promise.resolve();
    this.time = Math.max(this.time, until);
  }
}

/** The food site's rules with the limits of a test. */
export function foodRules(url: string, over: Partial<SiteInput> = {}): SiteInput {
  return {
    start: [{ url: `${url}/list` }],
    list: "ul.food-list",
    item: "li",
    fields: {
      name: { selector: "h4" },
      heat: { selector: "p", split: [":", "："], take: "rest" },
      image: { selector: "img", attribute: ["data-original", "srcset", "src"], type: "url", skip: "blank.gif" },
    },
    images: { minBytes: "60", maxBytes: "20KB", maxPixels: 10_000 },
    delay: 0,
    retries: 2,
    timeout: 30,
    stallTimeout: 30,
    maxRedirects: 3,
    maxPageBytes: "200KB",
    ...over,
  };
}

export interface Outcome {
  result: CrawlResult | undefined;
  error: Error | undefined;
  waits: number[];
  /** Rows of the CSV, by column. */
  rows: Record<string, string>[];
  csv: string;
  /** Names of the pictures' files. */
  files: string[];
}

/** Crawls, and reads what was written. */
export async function crawlSite(rules: SiteInput, out: string, options: Partial<CrawlOptions> = {}): Promise<Outcome> {
  const clock = new FakeClock();
  const world = { clock, ...options.world };
  let result: CrawlResult | undefined;
  let error: Error | undefined;
  try {
    result = await crawl(rules, { allowPrivate: true, ...options, out, world });
  } catch (thrown) {
    error = thrown as Error;
  }
  const path = join(out, "items.csv");
  const csv = existsSync(path) ? readFileSync(path, "utf8") : "";
  const rows = parse(csv, { bom: true, columns: true }) as Record<string, string>[];
  const images = join(out, "images");
  return { result, error, waits: clock.waits, rows, csv, files: existsSync(images) ? readdirSync(images).sort() : [] };
}
