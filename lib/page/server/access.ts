import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { sameSecret } from "../../http/same-secret.js";

const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"];
/** A name or an address, in brackets where it has colons, and perhaps a port: nothing else has a place in the header. */
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i;

/**
 * Who may do what. On this machine's own address all may look, as the header Host has its name: a page of another site
 * that has its name point here does not know it. Elsewhere looking needs the token, and commands need it everywhere.
 */
export class Access {
  /** 256 random bits, new for every server. */
  readonly token = randomBytes(32).toString("base64url");
  /** Names the server without giving the token away. */
  readonly publicId = randomBytes(6).toString("base64url");
  /** Whether only this machine can reach the server. */
  readonly local: boolean;
  private readonly names: ReadonlySet<string> | undefined;

  /** @param asked The name or address that was asked for. */
  constructor(asked: string, { address, family }: Pick<AddressInfo, "address" | "family">) {
    this.local = isLoopback(address);
    const bracketed = (host: string) => (host.includes(":") ? `[${host}]` : host.toLowerCase());
    // Whoever reaches all addresses may come by any name; there the token is asked for in any case.
    const any = family === "IPv6" ? address === "::" : address === "0.0.0.0";
    this.names = any ? undefined : new Set([...LOOPBACK_NAMES, bracketed(asked), bracketed(address)]);
  }

  /** Whether the request means this server. The port is not looked at: it may be forwarded from another one. */
  knowsHost(host: string | undefined): boolean {
    const name = HOST.exec(host ?? "")?.[1]?.toLowerCase();
    return name !== undefined && (this.names?.has(name) ?? true);
  }

  /** Whether a request comes from this server's page, or from no page at all. */
  fromOwnPage({ origin, host, "sec-fetch-site": site }: IncomingHttpHeaders): boolean {
    if (site !== undefined && site !== "same-origin" && site !== "none") return false;
    return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
  }

  /** Whether the token stands in the header Authorization. */
  hasBearer({ authorization = "" }: IncomingHttpHeaders): boolean {
    const [, given] = /^Bearer ([\w-]+)$/i.exec(authorization) ?? [];
    return given !== undefined && this.isToken(given);
  }

  mayLook(headers: IncomingHttpHeaders, port: number): boolean {
    if (this.local || this.hasBearer(headers)) return true;
    const prefix = `${cookieName(port)}=`;
    const cookies = (headers.cookie ?? "").split(";").map((cookie) => cookie.trim());
    return cookies.some((cookie) => cookie.startsWith(prefix) && this.isToken(cookie.slice(prefix.length)));
  }

  isToken(given: string): boolean {
    return sameSecret(given, this.token);
  }

  /**
   * What has the browser send the token from now on: event streams and pictures cannot have headers. Lax, not Strict:
   * whoever comes by a link on another page, such as a terminal in the browser, is led on from there, and has to be let
   * in. The cookie gives no more than sight; commands take the token itself.
   */
  cookie(port: number): string {
    return `${cookieName(port)}=${this.token}; HttpOnly; SameSite=Lax; Path=/`;
  }
}

/** Cookies are shared by the ports of a host. */
function cookieName(port: number): string {
  return `vlmr1_native_${port}`;
}

export function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127(\.\d{1,3}){3}$/i.test(address);
}
