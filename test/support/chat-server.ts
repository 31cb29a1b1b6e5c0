import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeEach } from "vitest";

export interface ChatRequest {
  model: string;
  temperature: number;
  max_tokens?: number;
  messages: { role: string; content: string | { type: string; text?: string; image_url?: { url: string } }[] }[];
}

export interface ChatServer {
  baseUrl: string;
  requests: { body: ChatRequest; authorization: string | undefined; at: number }[];
  /** Answers request number `index`, from 0. */
  respond: (response: ServerResponse, index: number) => void;
}

/** A local server with OpenAI's /chat/completions, which answers as the test says. */
export async function chatServer(): Promise<ChatServer> {
  const state: ChatServer = { baseUrl: "", requests: [], respond: (response) => say(response, "1") };
  const server = createServer(async (request, response) => {
    const body = JSON.parse(await textOf(request)) as ChatRequest;
    const { authorization } = request.headers;
    if (request.url !== "/v1/chat/completions") response.writeHead(404).end();
    state.requests.push({ body, authorization, at: performance.now() });
    state.respond(response, state.requests.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  beforeEach(() => {
    state.requests.length = 0;
    state.respond = (response) => say(response, "1");
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return state;
}

export function say(response: ServerResponse, content: string): void {
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content } }] }));
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}
