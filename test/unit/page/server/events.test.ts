import { createHash } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ask, events, serve } from "../../../support/dashboard-server.js";
import { emptyPage } from "../../../support/page.js";

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
