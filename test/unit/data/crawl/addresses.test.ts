import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { guardedLookup, refusePrivate } from "../../../../lib/data/crawl/addresses.js";

describe("addresses", () => {
  test.each([
    ...[
      "127.0.0.1",
      "127.255.0.9",
      "0.0.0.0",
      "10.0.0.1",
      "172.16.0.1",
      "172.31.255.255",
      "192.168.1.1",
      "169.254.169.254",
    ],
    ...["100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9"],
    ...["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
    ...["::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "2001::1"],
    ...[
      "::ffff:127.0.0.1",
      "::ffff:10.0.0.1",
      "::ffff:a9fe:a9fe",
      "64:ff9b::10.0.0.1",
      "64:ff9b::7f00:1",
      "2002:7f00:1::",
    ],
    ...["64:ff9b:1::10.0.0.1", "::127.0.0.1", "::7f00:1", "4000::1", "100::1", "", "localhost", "1.2.3"],
  ])("%s is refused", (address) => {
    expect(refusePrivate(address)).toEqual(expect.any(String));
  });

  test.each([
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
  ])("%s is public", (address) => expect(refusePrivate(address)).toBeUndefined());

  test("anything at all gets an answer", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV4Extended(), fc.ipV6()), (text) => {
        const reason = refusePrivate(text);
        if (isIP(text) === 0) expect(reason === undefined || reason.length > 0).toBe(true);
        if (isIP(text) === 4) expect(refusePrivate(`::ffff:${text}`) === undefined).toBe(reason === undefined);
      }),
    );
  });
});

describe("a lookup", () => {
  const resolve = async (host: string) => {
    if (host === "nowhere") throw Object.assign(new Error("no"), { code: "ENOTFOUND" });
    if (host === "none") return [];
    return host === "mixed"
      ? [
          { address: "10.0.0.1", family: 4 },
          { address: "1.1.1.1", family: 4 },
        ]
      : [{ address: "::1", family: 6 }];
  };
  const ask = (host: string, all: boolean) =>
    new Promise((done) =>
      guardedLookup(resolve, refusePrivate)(host, { all }, (error, address, family) =>
        done(error ?? [address, family]),
      ),
    );

  test("gives public addresses alone", async () => {
    expect(await ask("mixed", true)).toEqual([[{ address: "1.1.1.1", family: 4 }], undefined]);
    expect(await ask("mixed", false)).toEqual(["1.1.1.1", 4]);
  });

  test("fails where there is none", async () => {
    expect(await ask("inside", true)).toMatchObject({ code: "ERR_PRIVATE_ADDRESS", host: "inside" });
    expect(await ask("none", false)).toMatchObject({ code: "ERR_PRIVATE_ADDRESS" });
    expect(await ask("nowhere", false)).toMatchObject({ code: "ENOTFOUND" });
  });
});
