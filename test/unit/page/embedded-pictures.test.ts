import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { EmbeddedPictures } from "../../../lib/page/embedded-pictures.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();
const small = { side: 160, quality: 80 };

async function picture(name: string, width: number, height: number, background: string): Promise<string> {
  const path = join(folder, name);
  await sharp({ create: { width, height, channels: 4, background } }).toFile(path);
  return path;
}

const bytesOf = (url: string | undefined) => Buffer.from(url?.split(",")[1] ?? "", "base64");

test("pictures become thumbnails, each once by its content, numbered in the order in which they were asked for", async () => {
  const large = await picture("large.png", 1600, 800, "red");
  const tiny = await picture("tiny.jpg", 40, 30, "blue");
  const copy = join(folder, "copy.png");
  copyFileSync(large, copy);
  const store = new EmbeddedPictures(small);
  const keys = await Promise.all([large, tiny, copy, tiny].map((path) => store.add(path)));
  expect(keys).toEqual(["0", "1", "0", "1"]);
  expect(store.pictures).toHaveLength(2);
  expect(store.pictures.every((url) => url.startsWith("data:image/webp;base64,"))).toBe(true);
  const sizes = await Promise.all(store.pictures.map((url) => sharp(bytesOf(url)).metadata()));
  expect(sizes.map(({ width, height }) => [width, height])).toEqual([
    [160, 80],
    [40, 30],
  ]);
});

test("what is transparent lies on white", async () => {
  const store = new EmbeddedPictures(small);
  await store.add(await picture("clear.png", 20, 20, "#00000000"));
  const { data } = await sharp(bytesOf(store.pictures[0])).raw().toBuffer({ resolveWithObject: true });
  expect(Math.min(...data)).toBeGreaterThan(250);
});

test("what is no picture, or not there, has no key and leaves no gap", async () => {
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const store = new EmbeddedPictures(small);
  const paths = [
    join(folder, "none.png"),
    folder,
    file("page.png", "<!doctype html><script>alert(1)</script>"),
    file("drawing.svg", '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
    file("empty.png", ""),
    file("cut.png", "\x89PNG\r\n\x1a\nrest"),
  ];
  expect(await Promise.all(paths.map((path) => store.add(path)))).toEqual(paths.map(() => undefined));
  expect(await store.add(await picture("good.webp", 8, 8, "green"))).toBe("0");
  expect(store.pictures).toHaveLength(1);
});

test("a lower quality takes less room", async () => {
  const path = join(folder, "noise.png");
  const pixels = Buffer.from(Array.from({ length: 160 * 160 * 3 }, (_, index) => (index * 7919) % 251));
  await sharp(pixels, { raw: { width: 160, height: 160, channels: 3 } }).toFile(path);
  const sizes: number[] = [];
  for (const settings of [small, { side: 160, quality: 40 }, { side: 64, quality: 30 }]) {
    const store = new EmbeddedPictures(settings);
    await store.add(path);
    sizes.push(store.pictures[0]?.length ?? 0);
  }
  expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
  expect(sizes[2]).toBeLessThan((sizes[0] as number) / 3);
});
