import type { IncomingMessage, ServerResponse } from "node:http";
import { ApiError, noModel } from "./api-error.js";
import { type ChatService, completeChat, type Exchange } from "./chat.js";
import { sendJson, sendText } from "./http-answer.js";

export type State = "loading" | "ready" | "stopping";

interface Route {
  method: "GET" | "POST";
  /** Counted and logged as a piece of work. */
  work?: boolean;
  /** Answered without a key, and also while there is no model. */
  always?: boolean;
}

const ROUTES: Readonly<Record<string, Route>> = {
  "/health": { method: "GET", always: true },
  "/metrics": { method: "GET" },
  "/v1/models": { method: "GET" },
  "/v1/chat/completions": { method: "POST", work: true },
};
const ONE_MODEL = "/v1/models/";

/** The path of a request, without its query, and the route that it takes. Throws an `ApiError` where there is none. */
export function findRoute(request: IncomingMessage): { path: string; route: Route } {
  const [path = ""] = (request.url ?? "").split("?");
  const known = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  const route = known ?? (path.startsWith(ONE_MODEL) ? ROUTES["/v1/models"] : undefined);
  if (route === undefined) throw notFound(path);
  // Whoever asks for the head of an answer gets what GET says, without the body, which Node leaves out.
  const method = request.method === "HEAD" ? "GET" : request.method;
  if (method === route.method) return { path, route };
  throw new ApiError(405, `${path} takes ${route.method}, not ${request.method}`, {
    code: "method_not_allowed",
    headers: { Allow: route.method },
  });
}

function notFound(path: string): ApiError {
  const there = `there are ${Object.keys(ROUTES).join(", ")}`;
  const message = /^\/v1\/(completions|responses)$/.test(path)
    ? `${path} is not supported: use /v1/chat/completions`
    : `there is nothing at ${path.slice(0, 100)}; ${there}`;
  return new ApiError(404, message, { code: "not_found" });
}

/** Answers a request of a route that needs the model. */
export async function answerRoute(path: string, service: ChatService, exchange: Exchange): Promise<void> {
  const { response } = exchange;
  if (path === "/v1/chat/completions") return completeChat(service, exchange);
  if (path === "/metrics") {
    const { counters, scheduler, gate, limits } = service;
    const text = counters.text({ rows: scheduler.size, requests: gate.waiting, maxNumSeqs: limits.maxNumSeqs });
    return sendText(response, 200, text, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" });
  }
  const model = describeModel(service);
  if (path === "/v1/models") return sendJson(response, { object: "list", data: [model] });
  const asked = decodePath(path.slice(ONE_MODEL.length));
  if (asked === service.model) return sendJson(response, model);
  throw noModel(asked, service.model);
}

export function answerHealth(response: ServerResponse, state: State): void {
  const status = state === "ready" ? 200 : 503;
  sendText(response, status, JSON.stringify({ status: state === "ready" ? "ok" : state }));
}

export function stillLoading(): ApiError {
  const message = "the model is being loaded";
  return new ApiError(503, message, { code: "model_loading", headers: { "Retry-After": "5" } });
}

function describeModel({ model, counters, limits }: ChatService) {
  const created = Math.floor(counters.startedAt / 1000);
  return { id: model, object: "model", created, owned_by: "vlmr1-native", max_model_len: limits.maxModelLen };
}

function decodePath(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
