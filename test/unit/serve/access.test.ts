import type { IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import { checkExposure, checkHost, checkKey, isLoopback } from "../../../lib/serve/access.js";

const LOCAL = { host: "127.0.0.1", apiKey: undefined, allowUnauthenticated: false, corsOrigin: [] };
const request = (headers: Record<string, string>) => ({ headers }) as unknown as IncomingMessage;

describe("who may ask", () => {
  test.each([
    ["127.0.0.1", true],
    ["127.8.9.1", true],
    ["localhost", true],
    ["::1", true],
    ["[::1]", true],
    ["::ffff:127.0.0.1", true],
    ["0.0.0.0", false],
    ["::", false],
    ["192.168.1.5", false],
    ["localhost.example.com", false],
    ["example.com", false],
  ])("%s is loopback: %s", (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });

  test("other machines only with a key, or where that was said", () => {
    const open = { ...LOCAL, host: "0.0.0.0" };
    expect(() => checkExposure(open)).toThrowError(/host 0\.0\.0\.0 can be reached by other machines/);
    for (const rules of [LOCAL, { ...open, apiKey: "k" }, { ...open, allowUnauthenticated: true }])
      checkExposure(rules);
  });

  test.each(["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "app.localhost:1"])(
    "a page that asks for %s",
    (host) => {
      checkHost(request({ host }), LOCAL);
    },
  );

  test.each(["evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "a b", "192.168.0.1:8000"])(
    "no page that asks for %j",
    (host) => {
      expect(() => checkHost(request({ host }), LOCAL)).toThrowError(/does not name this machine/);
      checkHost(request({ host }), { ...LOCAL, apiKey: "k" });
    },
  );

  test("those with the key", () => {
    const rules = { ...LOCAL, apiKey: "secret" };
    checkKey(request({}), LOCAL);
    checkKey(request({ authorization: "Bearer secret" }), rules);
    checkKey(request({ authorization: "bearer  secret" }), rules);
    for (const authorization of ["", "secret", "Bearer", "Bearer secre", "Bearer secret2", "Basic secret"]) {
      expect(() => checkKey(request({ authorization }), rules)).toThrowError(/API key/);
    }
  });
});
