import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { afterEach } from "vitest";
import type { Controls } from "../../lib/page/server/control.js";
import { PictureShelf } from "../../lib/page/server/picture-shelf.js";
import { PageServer } from "../../lib/page/server/server.js";
import { emptyPage } from "./page.js";

/** Closed after the test. */
export const open: PageServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

export interface Made {
  server: PageServer;
  said: string[];
  token: string;
  pictures: PictureShelf;
}

export async function serve(
  options: { host?: string; controls?: Partial<Controls> | null; title?: string } = {},
): Promise<Made> {
  const said: string[] = [];
  const controls: Controls = {
    pause: () => void said.push("pause"),
    continue: () => void said.push("continue"),
    stop: () => void said.push("stop"),
    setLearningRate: (value) => void said.push(`rate ${value}`),
    ...options.controls,
  };
  const page = emptyPage(options.title);
  const pictures = new PictureShelf();
  const server = await PageServer.open({
    ...{ host: options.host ?? "127.0.0.1", port: 0, pictures },
    source: { page: () => page, controls: options.controls === null ? undefined : controls },
    render: async (data) => `<!doctype html><title>${data.title}</title>`,
  });
  open.push(server);
  return { server, said, pictures, token: /token=([\w-]{43})$/.exec(server.url)?.[1] as string };
}

export interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  bytes: Buffer;
}

/** As a program may ask: fetch sets the headers that matter here by itself. */
export function ask(
  server: PageServer,
  path: string,
  { method = "GET", headers = {}, body }: Asked = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: server.port, path, method, headers, agent: false };
    const request = httpRequest(options, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const bytes = Buffer.concat(chunks);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text: bytes.toString(), bytes });
    });
    request.on("error", reject);
    request.end(body);
  });
}

export const json = { "content-type": "application/json" };
export const command = (token: string, body: unknown, headers: Record<string, string> = {}): Asked => ({
  method: "POST",
  headers: { ...json, authorization: `Bearer ${token}`, ...headers },
  body: typeof body === "string" ? body : JSON.stringify(body),
});

/** The events of a stream until there are `count` of them. */
export async function events(server: PageServer, count: number, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${server.port}/events`, { headers });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  const list: { event: string; data: { step?: number } }[] = [];
  let rest = "";
  while (list.length < count) {
    const { done, value } = await reader.read();
    if (done) break;
    const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, event = "", data] = /^id: \d+\nevent: ([^\n]*)\ndata: ([^\n]*)$/.exec(block) ?? [];
      if (data !== undefined) list.push({ event, data: JSON.parse(data) });
    }
  }
  void reader.cancel();
  return { response, list };
}
