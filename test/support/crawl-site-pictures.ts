import sharp from "sharp";
import { expect } from "vitest";
import { bytes, food, html, listPage, picture, status } from "./crawl-site.js";
import type { Trouble } from "./crawl-site-troubles.js";

const png = await picture(1);
const big = await picture(3, 120);
const jpeg = await sharp(big).jpeg().toBuffer();
const pixel = await picture(4, 1);
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><rect width="90" height="90"/><g/></svg>';

const lost: Pick<Trouble, "pictures" | "later"> = { pictures: 1, later: false };

/** What a picture's address can bring. The item is kept in every case. */
export const PICTURE_TROUBLES: Trouble[] = [
  {
    name: "a web page as a picture",
    happens: "without a picture; listed",
    routes: () => ({ "/1.png": html(`<html>${"not here ".repeat(20)}</html>`) }),
    ...lost,
    problems: [/1\.png: it is a web page \(HTML\)/],
  },
  {
    name: "a JPEG called .png, with the Content-Type of a text",
    happens: "kept as .jpg: its bytes are believed",
    routes: () => ({ "/1.png": bytes(jpeg, { "Content-Type": "text/plain" }) }),
    rules: () => ({ images: {} }),
    check: ({ rows }) => expect(rows[0]?.image_path).toMatch(/^images\/[0-9a-f]{16}\.jpg$/),
  },
  {
    name: "an SVG",
    happens: "refused: a drawing could read files",
    routes: () => ({ "/1.png": bytes(Buffer.from(SVG), { "Content-Type": "image/svg+xml" }) }),
    ...lost,
    problems: [/SVG pictures are not supported/],
  },
  {
    name: "a picture without its lower half",
    happens: "refused: all of it has to decode",
    routes: () => ({ "/1.png": bytes(jpeg.subarray(0, jpeg.length * 0.6)) }),
    ...lost,
    problems: [/1\.png: damaged or truncated/],
  },
  {
    name: "random bytes",
    happens: "refused",
    routes: () => ({ "/1.png": bytes(Buffer.from(Array.from({ length: 900 }, (_, i) => (i * i * 31) % 251))) }),
    ...lost,
    problems: [/1\.png: not a picture in a known format/],
  },
  {
    name: "a counting pixel",
    happens: "refused by `min_pixels`",
    routes: () => ({ "/1.png": bytes(pixel) }),
    rules: () => ({ images: { minBytes: 1 } }),
    ...lost,
    problems: [/1\.png: too small: 1 × 1 pixels, at least 256/],
  },
  {
    name: "a picture of too many pixels",
    happens: "refused by `max_pixels`, by its header",
    routes: () => ({ "/1.png": bytes(big) }),
    rules: () => ({ images: { maxPixels: 10_000 } }),
    ...lost,
    problems: [/too large: 120 × 120 pixels, at most 10000/],
  },
  {
    name: "a picture of too many bytes",
    happens: "cut off at `max_bytes`",
    routes: () => ({ "/1.png": bytes(big) }),
    ...lost,
    problems: [/1\.png: larger than the limit of 20000 bytes/],
  },
  {
    name: "an empty picture",
    happens: "without a picture; listed",
    routes: () => ({ "/1.png": bytes(Buffer.alloc(0)) }),
    ...lost,
    problems: [/1\.png: the file is empty/],
  },
  {
    name: "a picture of a few bytes",
    happens: "refused by `min_bytes`",
    routes: () => ({ "/1.png": bytes(Buffer.from("GIF89a")) }),
    ...lost,
    problems: [/too small: 6 bytes, at least 60/],
  },
  {
    name: "a picture that is not there",
    happens: "without a picture; listed",
    routes: () => ({ "/1.png": status(404) }),
    ...lost,
    problems: [/1\.png: .* answered 404/],
    asked: { "/1.png": 1 },
  },
  {
    name: "a picture that answers 503",
    happens: "tried again; then listed, and `--resume` tries it again",
    routes: () => ({ "/1.png": status(503) }),
    pictures: 1,
    later: true,
    problems: [/1\.png: .* answered 503/],
    asked: { "/1.png": 3 },
  },
  {
    name: "the same picture at two addresses",
    happens: "one file",
    routes: () => ({ "/2.png": bytes(png) }),
    check: ({ files, rows }) => {
      expect(files).toHaveLength(1);
      expect(rows[0]?.image_path).toBe(rows[1]?.image_path);
    },
  },
  {
    name: "two items with the same picture",
    happens: "fetched once",
    routes: () => ({ "/list": listPage(food("rice", "1", "/1.png"), food("milk", "2", "/1.png")) }),
    asked: { "/1.png": 1 },
  },
];
