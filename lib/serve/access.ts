import type { IncomingMessage, ServerResponse } from "node:http";
import ipaddr from "ipaddr.js";
import { VlmR1Error } from "../errors/index.js";
import { sameSecret } from "../http/same-secret.js";
import { ApiError } from "./api-error.js";

export interface AccessRules {
  host: string;
  apiKey: string | undefined;
  allowUnauthenticated: boolean;
  corsOrigin: readonly string[];
}

/** Whether an address, or a name, is this machine's own, which others do not reach. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (bare === "localhost" || bare.endsWith(".localhost")) return true;
  return ipaddr.isValid(bare) && ipaddr.process(bare).range() === "loopback";
}

/** An open model on an open address is nothing to start by accident. Throws `ERR_CONFIG`. */
export function checkExposure({ host, apiKey, allowUnauthenticated }: AccessRules): void {
  if (isLoopback(host) || apiKey !== undefined || allowUnauthenticated) return;
  throw new VlmR1Error("ERR_CONFIG", `host ${host} can be reached by other machines, and there is no api_key`, {
    hint: "Set VLMR1_API_KEY (or api_key), listen on 127.0.0.1, or say allow_unauthenticated where others are kept out.",
  });
}

/**
 * A web page can have its own name point to 127.0.0.1 and then ask a server there as its own: what comes under another
 * name than this machine's is refused. Where there is a key such a page does not know it.
 */
export function checkHost({ headers }: IncomingMessage, { host, apiKey, allowUnauthenticated }: AccessRules): void {
  if (apiKey !== undefined || allowUnauthenticated) return;
  const asked = hostName(headers.host ?? "");
  if (asked !== undefined && (isLoopback(asked) || asked === host.toLowerCase())) return;
  const message = `the Host header "${headers.host ?? ""}" does not name this machine; ask for http://${host}`;
  throw new ApiError(403, message, { type: "permission_error", code: "host_not_allowed" });
}

function hostName(header: string): string | undefined {
  return /^(\[[^\]]+\]|[^:[\]]+)(:\d+)?$/.exec(header)?.[1]?.toLowerCase();
}

export function checkKey({ headers }: IncomingMessage, { apiKey }: AccessRules): void {
  if (apiKey === undefined) return;
  const [, given] = /^Bearer +(.+)$/i.exec(headers.authorization ?? "") ?? [];
  if (given !== undefined && sameSecret(given, apiKey)) return;
  const message = given === undefined ? "there is no API key: send Authorization: Bearer KEY" : "the API key is wrong";
  throw new ApiError(401, message, {
    type: "authentication_error",
    code: "invalid_api_key",
    headers: { "WWW-Authenticate": "Bearer" },
  });
}

/** Lets the pages ask that may; to a preflight the answer is complete with these headers. */
export function allowOrigin({ headers }: IncomingMessage, response: ServerResponse, { corsOrigin }: AccessRules): void {
  if (corsOrigin.length === 0) return;
  response.setHeader("Vary", "Origin");
  const { origin } = headers;
  if (origin === undefined || !(corsOrigin.includes("*") || corsOrigin.includes(origin))) return;
  response.setHeader("Access-Control-Allow-Origin", corsOrigin.includes("*") ? "*" : origin);
  response.setHeader("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  // The official client sends a dozen headers of its own about itself.
  const wanted = headers["access-control-request-headers"];
  if (wanted !== undefined) response.setHeader("Access-Control-Allow-Headers", wanted);
  response.setHeader("Access-Control-Max-Age", "600");
}
