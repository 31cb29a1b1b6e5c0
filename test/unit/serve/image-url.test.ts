import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ApiError } from "../../../lib/serve/api-error.js";
import { readImageUrl } from "../../../lib/serve/image-url.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

const root = realpathSync(temporaryFolder());
const folder = join(root, "pictures");
const png = readFileSync(goldenPath("images/square.png"));
mkdirSync(join(folder, "sub dir"), { recursive: true });
mkdirSync(join(root, "pictures-not"));
for (const name of ["a.png", "sub dir/b.png", "..hidden.png", "../secret.png", "../pictures-not/c.png"]) {
  writeFileSync(join(folder, name), png);
}
writeFileSync(join(folder, "notes.txt"), "not a picture");
symlinkSync(join(root, "secret.png"), join(folder, "link.png"));
symlinkSync(root, join(folder, "up"));
symlinkSync(join(folder, "a.png"), join(folder, "inside.png"));

const rules = { imageFolder: folder, maxBytes: 1e6 };
const PARAM = "messages[0].content[0].image_url.url";
const read = (url: string, given: Partial<typeof rules> | { imageFolder: undefined } = {}) =>
  readImageUrl(url, PARAM, { ...rules, ...given });
const refusal = (code: string) => ({ status: 400, code, param: PARAM });
const told = (promise: Promise<unknown>) =>
  promise.then(
    () => "taken",
    (error: ApiError) => ({ status: error.status, ...error.toJSON().error, text: error.message }),
  );

describe("pictures in a request", () => {
  const data = `data:image/png;base64,${png.toString("base64")}`;

  test("are taken as base64, also with broken lines, without padding, and under another type", async () => {
    const lines = png.toString("base64").replace(/.{76}/g, "$&\r\n");
    for (const url of [data, `data:image/png;base64,${lines}`, data.replace(/=+$/, ""), data.replace("png", "jpeg")]) {
      expect(Buffer.from(await read(url)).equals(png)).toBe(true);
    }
  });

  test.each([
    ["data:image/png;base64,", "invalid_base64"],
    ["data:image/png;base64,####", "invalid_base64"],
    [`${data.slice(0, 60)}*${data.slice(60)}`, "invalid_base64"],
    ["data:image/png;base64,iVBOR", "invalid_base64"],
    ["data:image/png;base64,aGVsbG8gd29ybGQ=", "invalid_image"],
    ["data:image/svg+xml;base64,PHN2Zy8+", "invalid_image"],
    ["data:image/png,raw", "invalid_image"],
    ["data:text/plain;base64,aGk=", "invalid_image"],
    ["data:", "invalid_image"],
  ])("are refused: %s", async (url, code) => {
    expect(await told(read(url))).toMatchObject(refusal(code));
  });

  test("are any bytes, in base64", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (tail) => {
        const bytes = Buffer.concat([png.subarray(0, 16), tail]);
        const read1 = await read(`data:image/png;base64,${bytes.toString("base64")}`);
        expect(Buffer.from(read1).equals(bytes)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test.each(["https://example.com/a.png", "http://127.0.0.1/a.png", "ftp://x/a.png", "HTTPS://example.com/a.png"])(
    "are not fetched: %s",
    async (url) => {
      expect(await told(read(url))).toMatchObject(refusal("unsupported_image_url"));
    },
  );
});

describe("pictures in the image folder", () => {
  test.each([
    "a.png",
    "./a.png",
    "sub dir/../a.png",
    "sub dir/b.png",
    "..hidden.png",
    "inside.png",
    join(folder, "a.png"),
    pathToFileURL(join(folder, "sub dir/b.png")).href,
  ])("are read: %s", async (url) => {
    expect(Buffer.from(await read(url)).equals(png)).toBe(true);
  });

  test.each([
    "../secret.png",
    "sub dir/../../secret.png",
    "../pictures-not/c.png",
    "../there-is-none.png",
    join(root, "secret.png"),
    "/etc/passwd",
    "file:///etc/passwd",
    pathToFileURL(join(folder, "x")).href.replace(/x$/, "%2e%2e/secret.png"),
    "link.png",
    "up/secret.png",
    ".",
    "",
    folder,
  ])("are not read outside of it: %s", async (url) => {
    expect(await told(read(url))).toMatchObject(refusal("image_path_not_allowed"));
  });

  test.each([
    ["none.png", "image_not_found"],
    ["a.png/b.png", "image_not_found"],
    ["sub dir", "invalid_image"],
    ["notes.txt", "invalid_image"],
    ["a\0.png", "invalid_image"],
    ["file:///a%00.png", "invalid_image"],
    ["file://other.host/a.png", "invalid_image"],
  ])("are refused: %s", async (url, code) => {
    expect(await told(read(url))).toMatchObject(refusal(code));
  });

  test("are refused where they are large, and all where there is no folder", async () => {
    expect(await told(read("a.png", { maxBytes: 100 }))).toMatchObject(refusal("image_too_large"));
    expect(await told(read("a.png", { imageFolder: undefined }))).toMatchObject(refusal("image_path_not_allowed"));
  });
});
