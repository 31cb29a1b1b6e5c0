import type { Server } from "node:http";
import { connect } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { PictureShelf } from "../../../../lib/page/server/picture-shelf.js";
import { PageServer } from "../../../../lib/page/server/server.js";
import { type Asked, ask, command, events, json, open, serve } from "../../../support/dashboard-server.js";
import { emptyPage } from "../../../support/page.js";

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
    expect(cookie).toMatch(/; HttpOnly; SameSite=Lax; Path=\/$/);
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

describe("clients", () => {
  test("that take nothing of a page are let go", async () => {
    const pictures = new PictureShelf();
    const options = { host: "127.0.0.1", port: 0, pictures, source: { page: () => emptyPage() }, idleMs: 300 };
    // More than the system's buffers of a connection hold.
    const server = await PageServer.open({ ...options, render: async () => "x".repeat(64 << 20) });
    open.push(server);
    const http = (server as unknown as { server: Server }).server;
    const connections = () => new Promise((resolve) => http.getConnections((_, count) => resolve(count)));
    const socket = connect(server.port, "127.0.0.1").pause();
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await vi.waitFor(async () => expect(await connections()).toBe(1), 5000);
    await vi.waitFor(async () => expect(await connections()).toBe(0), { timeout: 20_000, interval: 50 });
    socket.destroy();
  }, 30_000);

  test("that cannot be taken in end nothing", async () => {
    const { server } = await serve();
    const http = (server as unknown as { server: Server }).server;
    expect(() => http.emit("error", new Error("accept ENOMEM"))).not.toThrow();
    expect((await ask(server, "/")).status).toBe(200);
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
