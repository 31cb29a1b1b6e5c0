import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import sharp from "sharp";
import { afterEach, describe, expect, test } from "vitest";
import type { Controls } from "../../../../lib/page/server/control.js";
import { PictureShelf } from "../../../../lib/page/server/picture-shelf.js";
import { PageServer } from "../../../../lib/page/server/server.js";
import { emptyPage } from "../../../support/page.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();
const open: PageServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

interface Made {
  server: PageServer;
  said: string[];
  token: string;
  pictures: PictureShelf;
}

async function serve(
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

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  bytes: Buffer;
}

/** As a program may ask: fetch sets the headers that matter here by itself. */
function ask(server: PageServer, path: string, { method = "GET", headers = {}, body }: Asked = {}): Promise<Got> {
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

const json = { "content-type": "application/json" };
const command = (token: string, body: unknown, headers: Record<string, string> = {}): Asked => ({
  method: "POST",
  headers: { ...json, authorization: `Bearer ${token}`, ...headers },
  body: typeof body === "string" ? body : JSON.stringify(body),
});

/** The events of a stream until there are `count` of them. */
async function events(server: PageServer, count: number, headers: Record<string, string> = {}) {
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

describe("who may look", () => {
  test("is everyone on this machine who means this server", async () => {
    const { server } = await serve({ title: "a run" });
    const { status, text, headers } = await ask(server, "/");
    expect({ status, text }).toEqual({ status: 200, text: "<!doctype html><title>a run</title>" });
    expect(headers).toMatchObject({
      ...{ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store" },
      "content-security-policy": expect.stringContaining("frame-ancestors 'none'"),
    });
    for (const host of ["localhost", `localhost:${server.port}`, "[::1]", "127.0.0.1:1"]) {
      expect((await ask(server, "/", { headers: { host } })).status).toBe(200);
    }
  });

  test.each([
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "localhost/x",
    "localhost:1:2",
    "127.0.0.1 ",
  ])("is not who comes by another name: %j", async (host) => {
    const { server, token } = await serve();
    // A header's value loses its blanks on the way.
    const expected = host === "127.0.0.1 " ? 200 : 403;
    for (const path of ["/", "/events", "/pictures/0"]) {
      const { status } =
        path === "/events" && expected === 200 ? { status: 200 } : await ask(server, path, { headers: { host } });
      expect(status).toBe(path === "/pictures/0" && expected === 200 ? 404 : expected);
    }
    const asked = command(token, { action: "pause" }, { host });
    expect((await ask(server, "/control", asked)).status).toBe(expected);
  });

  test("at an address that others reach is who has the token, once in the URL and then in a cookie", async () => {
    const { server, token } = await serve({ host: "0.0.0.0" });
    expect(server.isPublic).toBe(true);
    expect(server.url).toMatch(/^http:\/\/[^/]+\/\?token=/);
    const host = "any.name.example";
    for (const path of ["/", "/events", "/pictures/0", "/?token=", `/?token=${token}x`, `/events?token=${token}`]) {
      expect((await ask(server, path, { headers: { host } })).status).toBe(401);
    }
    const first = await ask(server, `/?token=${token}`, { headers: { host } });
    expect(first).toMatchObject({ status: 303, headers: { location: `./#token=${token}` } });
    const [cookie = ""] = first.headers["set-cookie"] ?? [];
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict; Path=\/$/);
    const headers = { host, cookie: `a=b; ${cookie.split(";")[0]}` };
    expect((await ask(server, "/", { headers })).status).toBe(200);
    expect((await events(server, 1, { cookie: headers.cookie })).list[0]?.event).toBe("page");
    const wrong = { host, cookie: headers.cookie.replace(/.$/, (last) => (last === "A" ? "B" : "A")) };
    expect((await ask(server, "/", { headers: wrong })).status).toBe(401);
    // A cookie comes along with whatever the browser is made to send; commands are not.
    const asked = { method: "POST", headers: { ...json, ...headers }, body: '{"action":"pause"}' };
    expect((await ask(server, "/control", asked)).status).toBe(401);
  });

  test("has a token of their own for every server", async () => {
    const [one, other] = [await serve(), await serve()];
    expect(one.token).not.toBe(other.token);
    expect((await ask(other.server, "/control", command(one.token, { action: "pause" }))).status).toBe(401);
  });
});

describe("commands", () => {
  test("are carried out with the token", async () => {
    const { server, token, said } = await serve();
    const origin = { origin: `http://127.0.0.1:${server.port}` };
    for (const action of ["pause", "continue", "stop"]) {
      const { status, text } = await ask(server, "/control", command(token, { action }, origin));
      expect({ status, text }).toEqual({ status: 200, text: '{"ok":true}' });
    }
    await ask(server, "/control", command(token, { action: "set_learning_rate", value: 1e-6 }, origin));
    expect(said).toEqual(["pause", "continue", "stop", "rate 0.000001"]);
  });

  test.each<[string, number, (token: string) => Asked]>([
    ["without a token", 401, (token) => ({ ...command(token, { action: "pause" }), headers: json })],
    ["with another token", 401, (token) => command(`${token.slice(1)}A`, { action: "pause" })],
    ["with a token of another length", 401, () => command("A", { action: "pause" })],
    ["from another page", 403, (token) => command(token, { action: "pause" }, { origin: "http://evil.example" })],
    ["from a page without an origin", 403, (token) => command(token, { action: "pause" }, { origin: "null" })],
    ["from another site", 403, (token) => command(token, { action: "pause" }, { "sec-fetch-site": "cross-site" })],
    ["by GET", 405, (token) => ({ ...command(token, ""), method: "GET" })],
    ["as a form", 415, (token) => command(token, "action=pause", { "content-type": "text/plain" })],
    ["that are no JSON", 400, (token) => command(token, "{")],
    ["that nobody knows", 400, (token) => command(token, { action: "dispose" })],
    ["that are inherited", 400, (token) => command(token, { action: "__proto__" })],
    ["with more than they have", 400, (token) => command(token, { action: "pause", value: 3 })],
    ["with no number", 400, (token) => command(token, { action: "set_learning_rate", value: "1" })],
    ["that are too long", 413, (token) => command(token, { action: "pause", more: "x".repeat(9999) })],
    [
      "that are too long and do not say so",
      413,
      (token) => command(token, { action: "pause", more: "x".repeat(9999) }, { "transfer-encoding": "chunked" }),
    ],
  ])("%s are refused", async (_, expected, asked) => {
    const { server, token, said } = await serve();
    const { status } = await ask(server, "/control", asked(token));
    expect(status).toBe(expected);
    expect(said).toEqual([]);
    expect((await ask(server, "/")).status).toBe(200);
  });

  test("that the run refuses come back with what to do; without a run all do", async () => {
    const stop = () => {
      throw Object.assign(new Error("the run is over"));
    };
    const { server, token } = await serve({ controls: { stop } });
    const answer = await ask(server, "/control", command(token, { action: "stop" }));
    expect(answer).toMatchObject({ status: 409, text: '{"error":"the run is over"}' });
    const old = await serve({ controls: null });
    expect((await ask(old.server, "/control", command(old.token, { action: "stop" }))).status).toBe(409);
  });
});

describe("paths", () => {
  test.each([
    ["/pictures/0", 404],
    ["/pictures/../secret.png", 404],
    ["/pictures/..%2f..%2fsecret.png", 404],
    ["/pictures/0x0", 404],
    ["/pictures/-1", 404],
    ["/pictures/99999999999999999999", 404],
    ["//pictures/0", 404],
    ["/etc/passwd", 404],
    ["/%00", 404],
    ["http://evil.example/", 404],
    ["/?token=x", 200],
    ["/favicon.ico", 204],
  ])("%s: %d", async (path, expected) => {
    const { server } = await serve();
    expect((await ask(server, path)).status).toBe(expected);
  });

  test("beside the page itself are for its own page alone", async () => {
    const { server } = await serve();
    const headers = { "sec-fetch-site": "cross-site" };
    expect((await ask(server, "/", { headers })).status).toBe(200);
    for (const path of ["/events", "/pictures/0"]) expect((await ask(server, path, { headers })).status).toBe(403);
    expect((await ask(server, "/events", { headers: { origin: "http://evil.example" } })).status).toBe(403);
  });

  test("are read only", async () => {
    const { server } = await serve();
    for (const path of ["/", "/events", "/pictures/0"]) {
      expect((await ask(server, path, { method: "DELETE" })).status).toBe(405);
    }
    expect((await ask(server, "/events", { method: "HEAD" })).status).toBe(405);
    expect(await ask(server, "/", { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
  });

  test("with lines in them put nothing into a header", async () => {
    const { server } = await serve();
    const socket = connect(server.port, "127.0.0.1");
    socket.write("GET /?token=x%0d%0aset-cookie:a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text).toMatch(/^HTTP\/1\.1 200/);
    expect(text.toLowerCase()).not.toContain("set-cookie");
  });

  test("without a host are refused", async () => {
    const { server } = await serve();
    for (const version of ["1.0", "1.1"]) {
      const socket = connect(server.port, "127.0.0.1");
      socket.write(`GET / HTTP/${version}\r\n\r\n`);
      let text = "";
      for await (const chunk of socket) text += String(chunk);
      expect(text).toMatch(/^HTTP\/1\.1 40[03]/);
    }
  });

  test("of what is no HTTP end the connection and nothing else", async () => {
    const { server } = await serve();
    const socket = connect(server.port, "127.0.0.1");
    socket.write("\x16\x03\x01 this is TLS\r\n\r\n");
    socket.on("error", () => {});
    await new Promise((resolve) => socket.on("close", resolve));
    expect((await ask(server, "/")).status).toBe(200);
  });
});

describe("pictures", () => {
  const picture = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: "#a52" } });

  test("are those that the page lists, by what they are and not by what they are called", async () => {
    const { server, pictures } = await serve();
    const path = join(folder, "called.png");
    await picture(20, 10).jpeg().toFile(path);
    const url = await pictures.add(path);
    expect(url).toBe("pictures/0");
    expect(await pictures.add(path)).toBe(url);
    const { status, headers, bytes } = await ask(server, `/${url}`);
    expect({ status, type: headers["content-type"] }).toEqual({ status: 200, type: "image/jpeg" });
    expect((await sharp(bytes).metadata()).width).toBe(20);
    const again = await ask(server, `/${url}`, { headers: { "if-none-match": headers.etag as string } });
    expect(again).toMatchObject({ status: 304, text: "" });
    expect((await ask(server, "/pictures/1")).status).toBe(404);
  });

  test("that are large come smaller, and drawings, which may hold programs, not at all", async () => {
    const { server, pictures } = await serve();
    await picture(3000, 1500).png().toFile(join(folder, "large.png"));
    const drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>';
    writeFileSync(join(folder, "drawing.png"), drawing);
    const { headers, bytes } = await ask(server, `/${await pictures.add(join(folder, "large.png"))}`);
    expect(headers["content-type"]).toBe("image/webp");
    expect((await sharp(bytes).metadata()).width).toBe(640);
    expect((await ask(server, `/${await pictures.add(join(folder, "drawing.png"))}`)).status).toBe(404);
  });

  test("that are none are not shown", async () => {
    const { server, pictures } = await serve();
    mkdirSync(join(folder, "folder.png"), { recursive: true });
    writeFileSync(join(folder, "text.png"), "<html>secret</html>");
    expect(await pictures.add(join(folder, "none.png"))).toBeUndefined();
    expect(await pictures.add(join(folder, "folder.png"))).toBeUndefined();
    const url = await pictures.add(join(folder, "text.png"));
    expect(await ask(server, `/${url}`)).toMatchObject({ status: 404, text: "There is no such picture.\n" });
  });

  test("that pass by make room for others; those that stay do not", async () => {
    const shelf = new PictureShelf(8);
    const paths = Array.from({ length: 12 }, (_, index) => join(folder, `passing-${index}.png`));
    const bytes = await picture(2, 2).png().toBuffer();
    for (const path of paths) writeFileSync(path, bytes);
    await shelf.addPassing(paths[0] as string);
    await shelf.addPassing(paths[1] as string);
    await shelf.add(paths[0] as string);
    for (const path of paths) await shelf.addPassing(path);
    expect(await shelf.read(0)).toMatchObject({ type: "image/png" });
    expect(await shelf.read(1)).toBeUndefined();
    expect(await shelf.read(11)).toBeDefined();
  });
});

describe("events", () => {
  test("begin with the whole page, also for who comes again", async () => {
    const { server } = await serve({ title: "line\nfeed\u2028" });
    for (const headers of [{}, { "last-event-id": "7" }] as Record<string, string>[]) {
      const { response, list } = await events(server, 1, headers);
      expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
      expect(list).toEqual([{ event: "page", data: emptyPage("line\nfeed\u2028") }]);
    }
  });

  test("come in order to all who follow", async () => {
    const { server } = await serve();
    const following = Array.from({ length: 50 }, () => events(server, 4));
    while (server.viewers < 50) await sleep(5);
    server.send("progress", { phase: "sampling", fraction: 0.5 });
    server.send("warning", { step: 1, message: "a\nb" });
    server.send("step", { step: 1, totalSteps: 2, values: { reward: null } });
    const all = await Promise.all(following);
    const texts = new Set(all.map(({ list }) => createHash("sha1").update(JSON.stringify(list)).digest("hex")));
    expect(texts.size).toBe(1);
    expect(all[0]?.list.map(({ event }) => event)).toEqual(["page", "progress", "warning", "step"]);
    for (let tries = 0; server.viewers > 0 && tries < 200; tries += 1) await sleep(5);
    expect(server.viewers).toBe(0);
  });

  test("wait for nobody: who does not read is cut off, others lose nothing", async () => {
    const { server } = await serve();
    const socket = connect(server.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (server.viewers < 1) await sleep(5);
    const reader = events(server, 801);
    while (server.viewers < 2) await sleep(5);
    const message = "x".repeat(20_000);
    for (let step = 0; step < 800; step += 1) {
      server.send("warning", { step, message });
      if (step % 5 === 0) await sleep(2);
    }
    const { list } = await reader;
    expect(list.slice(1).map(({ data }) => data.step)).toEqual(Array.from({ length: 800 }, (_, step) => step));
    for (let tries = 0; server.viewers > 0 && tries < 200; tries += 1) await sleep(5);
    expect(server.viewers).toBe(0);
    socket.destroy();
  });

  test("survive clients that are killed", async () => {
    const { server } = await serve();
    const sockets = Array.from({ length: 5 }, () => connect(server.port, "127.0.0.1"));
    for (const socket of sockets) {
      socket.on("error", () => {});
      socket.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    while (server.viewers < 5) await sleep(5);
    for (const socket of sockets) socket.resetAndDestroy();
    for (let step = 0; step < 50; step += 1) server.send("warning", { step, message: "still here" });
    for (let tries = 0; server.viewers > 0 && tries < 200; tries += 1) await sleep(5);
    expect(server.viewers).toBe(0);
  });

  test("are for a bounded number of pages", async () => {
    const { server } = await serve();
    const stop = new AbortController();
    const url = `http://127.0.0.1:${server.port}/events`;
    const asked = Array.from({ length: 64 }, () => fetch(url, { signal: stop.signal }));
    await Promise.all(asked);
    expect((await ask(server, "/events")).status).toBe(503);
    expect((await ask(server, "/")).status).toBe(200);
    stop.abort();
  });

  test("end with the server, behind what was sent last", async () => {
    const { server } = await serve();
    const following = events(server, 99);
    while (server.viewers < 1) await sleep(5);
    server.send("status", { status: "finished", step: 3, learningRate: 1 });
    await server.close();
    expect((await following).list.map(({ event }) => event)).toEqual(["page", "status"]);
    await expect(ask(server, "/")).rejects.toThrow();
  });
});

describe("ports", () => {
  test("that were named and are taken are told; others make way", async () => {
    const { server } = await serve();
    const options = {
      ...{ host: "127.0.0.1", pictures: new PictureShelf(), render: async () => "" },
      source: { page: () => emptyPage() },
    };
    await expect(PageServer.open({ ...options, port: server.port })).rejects.toMatchObject({
      code: "ERR_PORT_IN_USE",
      message: expect.stringContaining(`port ${server.port} of 127.0.0.1 is taken`),
      hint: expect.stringContaining("another port"),
    });
    const first = await PageServer.open({ ...options, port: undefined });
    const second = await PageServer.open({ ...options, port: undefined });
    open.push(first, second);
    expect(first.port).toBeGreaterThanOrEqual(8790);
    expect(second.port).toBeGreaterThan(first.port);
    await expect(PageServer.open({ ...options, host: "192.0.2.1", port: 0 })).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: "192.0.2.1 is no address of this machine",
    });
  });
});
