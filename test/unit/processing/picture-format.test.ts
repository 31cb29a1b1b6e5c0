import { expect, test } from "vitest";
import { pictureFormat } from "../../../lib/processing/picture-format.js";
import { loadSharp } from "../../../lib/processing/sharp.js";

test("pictures tell their formats by their first bytes", async () => {
  const sharp = await loadSharp();
  const picture = sharp({ create: { width: 4, height: 4, channels: 3, background: "red" } });
  const written = { jpg: "jpeg", png: "png", gif: "gif", webp: "webp", tiff: "tiff", avif: "avif" } as const;
  for (const [format, name] of Object.entries(written)) {
    expect(pictureFormat(await picture.clone().toFormat(name).toBuffer()), format).toBe(format);
  }
});

test.each([
  ["nothing", ""],
  ["text", "JPEG"],
  ["sound in the same container as WebP", "RIFF\0\0\0\0WAVE"],
  ["a drawing", "<svg xmlns='http://www.w3.org/2000/svg'/>"],
  ["HEIC", "\0\0\0\x18ftypheic\0\0\0\0mif1heic"],
  ["a film", "\0\0\0\x18ftypisom\0\0\0\0isommp42"],
])("%s is none of them", (_, text) => {
  expect(pictureFormat(Buffer.from(text, "latin1"))).toBeUndefined();
});

test("a general first brand may come before AVIF's own", () => {
  expect(pictureFormat(Buffer.from("\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "latin1"))).toBe("avif");
});
