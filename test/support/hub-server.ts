import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

/** What goes wrong with one delivery of a file, or, under the name "api", with one question about a repository. */
export type Fault =
  | { status: number; headers?: Record<string, string>; body?: string }
  /** So many bytes, then a broken connection. */
  | { cutAfter: number }
  /** So many bytes, then silence. */
  | { stallAfter: number }
  /** So many bytes, and an orderly end. */
  | { endAfter: number }
  | { corrupt: true }
  | { ignoreRange: true }
  /** 206, but from the beginning. */
  | { wrongRange: true };

export interface Asked {
  host: "hub" | "cdn";
  method: string;
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

export interface RepositoryOptions {
  /** Files cannot be read without this token: 401 without any, 403 with another one. */
  gated?: string;
  /** The same for everything, and without a token it does not seem to exist. */
  private?: string;
}

interface Repository extends RepositoryOptions {
  commits: Map<string, Map<string, Buffer>>;
  refs: Map<string, string>;
}

/** Handlers end with the answer that they gave. */
type Answered = ServerResponse;

/** The Hub keeps files from this size on elsewhere; a small one here, to have both kinds. */
const LFS_FROM = 5000;

/** A Hugging Face Hub with a second server for large files, in this process. */
export class HubServer {
  readonly asked: Asked[] = [];
  /** Files per page of a listing. */
  pageSize = 1000;
  /** Further pages of a listing are said to be on the other server. */
  pagesElsewhere = false;
  url = "";
  private cdnUrl = "";
  private readonly repositories = new Map<string, Repository>();
  private readonly faults = new Map<string, Fault[]>();
  private readonly servers: Server[] = [];

  static async start(): Promise<HubServer> {
    const hub = new HubServer();
    hub.cdnUrl = await hub.listen((request, response) => hub.onCdn(request, response));
    hub.url = await hub.listen((request, response) => hub.onHub(request, response));
    afterAll(() => hub.stop());
    return hub;
  }

  /** Adds a commit to a repository, as the tip of `ref`, and returns its hash. */
  commit(name: string, files: Record<string, Buffer | string>, ref = "main", options: RepositoryOptions = {}): string {
    const contents = new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]));
    const hash = createHash("sha1").update(name);
    for (const [path, content] of contents) hash.update(path).update(content);
    const commit = hash.digest("hex");
    const repository = this.repositories.get(name) ?? { commits: new Map(), refs: new Map() };
    repository.commits.set(commit, contents);
    repository.refs.set(ref, commit);
    this.repositories.set(name, Object.assign(repository, options));
    return commit;
  }

  /** The next deliveries of this file go wrong, each in its way. */
  fail(path: string, ...faults: Fault[]): void {
    this.faults.set(path, faults);
  }

  /** Requests for contents, oldest first. */
  deliveries(path: string): Asked[] {
    return this.asked.filter((asked) => asked.method === "GET" && asked.path.endsWith(`/${path}`));
  }

  reset(): void {
    this.asked.length = 0;
    this.faults.clear();
    this.pageSize = 1000;
    this.pagesElsewhere = false;
  }

  async stop(): Promise<void> {
    for (const server of this.servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    this.servers.length = 0;
  }

  private async listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
    const server = createServer(handle);
    this.servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  private note(host: Asked["host"], { method = "", url = "", headers }: IncomingMessage): URL {
    const { pathname: path } = new URL(url, this.url);
    this.asked.push({ host, method, path, range: headers.range, authorization: headers.authorization });
    return new URL(url, this.url);
  }

  private onHub(request: IncomingMessage, response: ServerResponse): Answered {
    const { pathname, searchParams } = this.note("hub", request);
    const token = request.headers.authorization?.replace("Bearer ", "");
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(pathname);
    const resolve = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const name = api?.[1] ?? resolve?.[1] ?? "";
    const revision = decodeURIComponent(api?.[3] ?? resolve?.[2] ?? "");
    const fault = api === null ? undefined : this.nextFault("api");
    if (fault !== undefined && "status" in fault) return refuse(response, fault.status, "", fault);
    const repository = this.repositories.get(name);
    if (repository === undefined || (repository.private !== undefined && repository.private !== token)) {
      return refuse(response, token === undefined ? 401 : 404, "RepoNotFound");
    }
    const commit = repository.refs.get(revision) ?? revision;
    const files = repository.commits.get(commit);
    if (files === undefined) return refuse(response, 404, "RevisionNotFound");
    if (api?.[2] === "revision") return sendJson(response, { _id: "1", id: name, sha: commit, private: false });
    if (api?.[2] === "tree") return this.sendTree(response, `${pathname}?`, files, Number(searchParams.get("cursor")));
    if (repository.gated !== undefined && repository.gated !== token) {
      return refuse(response, token === undefined ? 401 : 403, "GatedRepo");
    }
    return this.sendFile(request, response, commit, decodeURIComponent(resolve?.[3] ?? ""), files);
  }

  private sendTree(response: ServerResponse, path: string, files: Map<string, Buffer>, start: number): Answered {
    const end = start + this.pageSize;
    const entries = [...files].slice(start, end).map(([path, content]) => {
      const entry = { type: "file", path, size: content.length, oid: gitHash(content) };
      if (!isLarge(content)) return entry;
      return { ...entry, lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } };
    });
    if (end < files.size)
      response.setHeader("Link", `<${this.pagesElsewhere ? this.cdnUrl : this.url}${path}cursor=${end}>; rel="next"`);
    return sendJson(response, [{ type: "directory", path: "onnx", size: 0, oid: "0".repeat(40) }, ...entries]);
  }

  private sendFile(
    request: IncomingMessage,
    response: ServerResponse,
    commit: string,
    path: string,
    files: Map<string, Buffer>,
  ): Answered {
    const content = files.get(path);
    if (content === undefined) return refuse(response, 404, "EntryNotFound");
    response.setHeader("X-Repo-Commit", commit);
    if (!isLarge(content)) {
      response.setHeader("ETag", `"${gitHash(content)}"`);
      return this.deliver(request, response, path, content);
    }
    response.setHeader("X-Linked-Etag", `"${sha256(content)}"`);
    response.setHeader("X-Linked-Size", content.length);
    return response.writeHead(302, { Location: `${this.cdnUrl}/${sha256(content)}/${path}?signature=1` }).end();
  }

  private onCdn(request: IncomingMessage, response: ServerResponse): Answered {
    const { pathname } = this.note("cdn", request);
    const [, hash, path = ""] = pathname.split("/");
    for (const { commits } of this.repositories.values()) {
      for (const files of commits.values()) {
        const content = files.get(path);
        if (content !== undefined && sha256(content) === hash) return this.deliver(request, response, path, content);
      }
    }
    return refuse(response, 404, "");
  }

  private deliver(request: IncomingMessage, response: ServerResponse, path: string, content: Buffer): Answered {
    if (request.method === "HEAD") {
      return response.writeHead(200, { "Content-Length": content.length }).end();
    }
    const fault = this.nextFault(path);
    if (fault !== undefined && "status" in fault) return refuse(response, fault.status, "", fault);
    const has = <K extends string>(key: K) => fault !== undefined && key in fault;
    const asked = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const start = has("ignoreRange") || has("wrongRange") ? 0 : asked;
    if (start > 0 && start >= content.length) return refuse(response, 416, "");
    const body = has("corrupt") ? Buffer.from(content.map((byte) => byte ^ 1)) : content.subarray(start);
    response.setHeader("Content-Length", body.length);
    if (asked > 0 && !has("ignoreRange")) {
      response.setHeader("Content-Range", `bytes ${start}-${content.length - 1}/${content.length}`);
      response.statusCode = 206;
    }
    const limit = Object.entries(fault ?? {}).find(([key]) => key.endsWith("After"));
    if (limit === undefined) return response.end(body);
    return stopShort(response, body, limit[0], Number(limit[1]) - start);
  }

  private nextFault(path: string): Fault | undefined {
    return this.faults.get(path)?.shift();
  }
}

/** Ends a delivery where the whole file has so many bytes. */
function stopShort(response: ServerResponse, body: Buffer, how: string, bytes: number): Answered {
  if (how === "endAfter") {
    // Without a length nobody can tell that this is not all.
    response.removeHeader("Content-Length");
    return response.end(body.subarray(0, bytes));
  }
  response.write(body.subarray(0, bytes), () => {
    // A reader throws away what it has not looked at when the connection breaks.
    if (how === "cutAfter") setTimeout(() => response.socket?.destroy(), 50);
  });
  return response;
}

function refuse(response: ServerResponse, status: number, code: string, fault: Partial<Fault & object> = {}): Answered {
  const { headers = {}, body = JSON.stringify({ error: `refused with ${status}` }) } = fault as {
    headers?: Record<string, string>;
    body?: string;
  };
  return response.writeHead(status, { ...(code === "" ? {} : { "X-Error-Code": code }), ...headers }).end(body);
}

function sendJson(response: ServerResponse, value: unknown): Answered {
  response.setHeader("Content-Type", "application/json");
  return response.end(JSON.stringify(value));
}

function isLarge(content: Buffer): boolean {
  return content.length >= LFS_FROM;
}

export function gitHash(content: Buffer | string): string {
  const bytes = Buffer.from(content);
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

export function sha256(content: Buffer | string): string {
  return createHash("sha256").update(content).digest("hex");
}
