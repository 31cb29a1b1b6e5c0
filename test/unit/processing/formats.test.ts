import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { decodeImage } from "../../../lib/processing/index.js";
import { goldenJson, goldenPath, maxDifference } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

interface Golden {
  /** RGB in base64: pasted on white, and without alpha where that differs. */
  pictures: { file: string; width: number; height: number; white: string; dropped?: string }[];
  refused: { file: string; pillow_reads: boolean }[];
}

const golden = goldenJson<Golden>("formats/formats.json");
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

describe("decoded pixels equal Pillow's", () => {
  it.each(golden.pictures)("$file", async ({ file, width, height, white, dropped = white }) => {
    const path = goldenPath(`formats/${file}`);
    // AVIF's decoders round the colours' conversion differently.
    const allowed = file.endsWith(".avif") ? 1 : 0;
    const onWhite = await decodeImage(path);
    expect([onWhite.width, onWhite.height]).toEqual([width, height]);
    expect(maxDifference(onWhite.rgb, bytesOf(white))).toBeLessThanOrEqual(allowed);
    // A GIF's transparent pixels have no colour that could be kept.
    if (file === "key.gif") return;
    const without = await decodeImage(path, { alpha: "drop" });
    expect(maxDifference(without.rgb, bytesOf(dropped))).toBeLessThanOrEqual(allowed);
  });

  it("covers every orientation, and alpha that makes a difference", () => {
    const files = golden.pictures.map(({ file }) => file);
    for (let n = 1; n <= 8; n++) expect(files).toContain(`orientation-${n}.jpg`);
    expect(new Set(golden.pictures.slice(0, 16).map(({ white }) => white)).size).toBeGreaterThanOrEqual(16);
    expect(golden.pictures.filter(({ dropped }) => dropped !== undefined).length).toBeGreaterThanOrEqual(9);
  });

  it("an interlaced PNG is the same as one that is not", async () => {
    const plain = goldenPath("formats/rgba.png");
    const interlaced = await sharp(plain).png({ progressive: true }).toBuffer();
    expect((await sharp(interlaced).metadata()).isProgressive).toBe(true);
    expect(await decodeImage(interlaced)).toEqual(await decodeImage(plain));
  });
});

const REASONS: Readonly<Record<string, RegExp>> = {
  "bomb.png": /more than 178 million pixels/,
  "page.jpg": /HTML/,
  "text.png": /not a picture in a known format/,
  "empty.png": /empty/,
  "drawing.png": /SVG pictures are not supported/,
  "photo.heic": /HEIC pictures are not supported/,
  "bitmap.bmp": /BMP pictures are not supported/,
  "icon.ico": /not a picture in a known format/,
  "jpeg2000.jp2": /not a picture in a known format/,
};

describe("files that are refused", () => {
  it.each(golden.refused)("$file", async ({ file }) => {
    const path = goldenPath(`formats/${file}`);
    const reason = REASONS[file] ?? /damaged or truncated/;
    const error = await decodeImage(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "ERR_IMAGE", message: expect.stringMatching(reason) });
    expect((error as Error).message.startsWith(`${path}: `)).toBe(true);
  });

  it("are those that Pillow refuses too, but for three formats that nobody has photographs in", () => {
    const ours = golden.refused.filter(({ pillow_reads: reads }) => reads).map(({ file }) => file);
    expect(ours).toEqual(["bitmap.bmp", "icon.ico", "jpeg2000.jp2"]);
  });

  it("a folder, and a file that is not there", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "folder.png"));
    await expect(decodeImage(join(folder, "folder.png"))).rejects.toMatchObject({
      code: "ERR_IO",
      message: expect.stringMatching(/folder\.png.*it is a folder/),
    });
    await expect(decodeImage(join(folder, "nowhere.png"))).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: expect.stringContaining("nowhere.png"),
    });
  });

  it("a picture that is cut anywhere gives an error or its pixels, and nothing else", async () => {
    for (const { file, white } of golden.pictures.filter(({ file: name }) =>
      /^(rgba|full|lossless|key)\./.test(name),
    )) {
      const whole = readFileSync(goldenPath(`formats/${file}`));
      for (let length = 1; length < whole.length; length += Math.ceil(whole.length / 40)) {
        const result = await decodeImage(whole.subarray(0, length), { name: file }).catch((error: unknown) => error);
        if (result instanceof Error) expect(result).toMatchObject({ code: "ERR_IMAGE" });
        else expect(result).toMatchObject({ rgb: { length: bytesOf(white).length } });
      }
    }
  });

  it("a web page with a byte order mark, and an SVG behind a comment", async () => {
    const folder = temporaryFolder();
    const svg = `<!-- ${"made by hand ".repeat(40)}--><svg width="4" height="4"/>`;
    for (const [name, text, reason] of [
      ["marked.png", "\uFEFF<html><body/></html>", "HTML"],
      ["drawn.png", svg, "SVG"],
    ] as const) {
      writeFileSync(join(folder, name), text);
      const error = { code: "ERR_IMAGE", message: expect.stringMatching(new RegExp(`${name}.*${reason}`)) };
      await expect(decodeImage(join(folder, name))).rejects.toMatchObject(error);
    }
  });
});
