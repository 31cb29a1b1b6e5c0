import { writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { decodeImage } from "../../../lib/processing/index.js";
import { goldenJson, goldenPath, maxDifference, readTensors } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();
const WIDTH = 6;
const HEIGHT = 4;
const RGB = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => (i * 37) % 256);

function picture(pixels: Uint8Array | Uint16Array = RGB, channels: 1 | 2 | 3 | 4 = 3) {
  return sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels } });
}

function write(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe("decodeImage", () => {
  it.each(["png", "webp", "tiff", "gif"] as const)("gives the pixels of a lossless %s", async (format) => {
    // A GIF has 256 colours at most; the picture has 24.
    const bytes = await picture().toFormat(format, { lossless: true, compression: "lzw" }).toBuffer();
    const decoded = await decodeImage(bytes);
    expect([decoded.width, decoded.height]).toEqual([WIDTH, HEIGHT]);
    expect(maxDifference(decoded.rgb, RGB)).toBeLessThanOrEqual(format === "gif" ? 8 : 0);
  });

  it("ignores a colour profile", async () => {
    const bytes = await picture().withIccProfile("p3", { attach: true }).png().toBuffer();
    const raw = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
    expect((await sharp(bytes).metadata()).hasProfile).toBe(true);
    expect((await decodeImage(bytes)).rgb).toEqual(new Uint8Array(raw));
    // Were the profile applied, the pixels would come back as they were.
    expect(maxDifference(raw, RGB)).toBeGreaterThan(0);
  });

  it("applies the EXIF orientation", async () => {
    const bytes = await picture().withMetadata({ orientation: 6 }).png().toBuffer();
    const decoded = await decodeImage(bytes);
    expect([decoded.width, decoded.height]).toEqual([HEIGHT, WIDTH]);
    // Turned clockwise, the first row is the first column from below.
    const lowerLeft = (HEIGHT - 1) * WIDTH * 3;
    expect([...decoded.rgb.subarray(0, 3)]).toEqual([...RGB.subarray(lowerLeft, lowerLeft + 3)]);
  });

  it("pastes transparent pictures on white, or drops the alpha channel", async () => {
    const rgba = new Uint8Array(WIDTH * HEIGHT * 4).fill(10);
    rgba.set([100, 50, 0, 0], 0);
    rgba.set([100, 50, 0, 128], 4);
    rgba.set([100, 50, 0, 255], 8);
    const bytes = await picture(rgba, 4).png().toBuffer();
    const white = (await decodeImage(bytes)).rgb;
    expect([...white.subarray(0, 9)]).toEqual([255, 255, 255, 177, 152, 127, 100, 50, 0]);
    const dropped = (await decodeImage(bytes, { alpha: "drop" })).rgb;
    expect([...dropped.subarray(0, 6)]).toEqual([100, 50, 0, 100, 50, 0]);
  });

  it("spreads grey over three channels", async () => {
    const grey = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => i * 9);
    const bytes = await picture(grey, 1).toColourspace("b-w").png().toBuffer();
    const { rgb } = await decodeImage(bytes);
    expect(rgb).toEqual(Uint8Array.from({ length: rgb.length }, (_, i) => grey[Math.floor(i / 3)] as number));
  });

  it("keeps the high byte of 16 bits", async () => {
    const deep = Uint16Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => (i * 911) % 65536);
    const bytes = await picture(deep).toColourspace("rgb16").png().toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe("ushort");
    expect((await decodeImage(bytes)).rgb).toEqual(Uint8Array.from(deep, (value) => value >> 8));
  });

  it("turns the four inks of CMYK into RGB as Pillow does", async () => {
    const bytes = await picture().toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer();
    const inks = await sharp(bytes).pipelineColourspace("cmyk").toColourspace("cmyk").raw().toBuffer();
    const { rgb } = await decodeImage(bytes);
    const expected = Array.from(rgb, (_, i) => {
      const [ink, black] = [inks[Math.floor(i / 3) * 4 + (i % 3)] as number, inks[Math.floor(i / 3) * 4 + 3] as number];
      return Math.round(((255 - ink) * (255 - black)) / 255);
    });
    expect(maxDifference(rgb, expected)).toBeLessThanOrEqual(1);
  });

  it("takes the first frame of an animation", async () => {
    const frames = new Uint8Array(WIDTH * HEIGHT * 2 * 3).fill(200, RGB.length);
    const raw = { width: WIDTH, height: HEIGHT * 2, channels: 3, pageHeight: HEIGHT } as const;
    const bytes = await sharp(frames, { raw })
      .gif({ loop: 0, delay: [50, 50] })
      .toBuffer();
    expect((await sharp(bytes).metadata()).pages).toBe(2);
    const decoded = await decodeImage(bytes);
    expect(decoded.height).toBe(HEIGHT);
    expect(Math.max(...decoded.rgb)).toBe(0);
  });

  it.each(goldenJson<{ images: { name: string; file: string }[] }>("images/images.json").images)(
    "equals Pillow on $name",
    async ({ name, file }) => {
      const expected = readTensors(goldenPath("images/images.safetensors")).get(`${name}.rgb`);
      const { rgb } = await decodeImage(goldenPath(`images/${file}`));
      // JPEG decoders may differ by a level or two.
      expect(maxDifference(rgb, expected?.data ?? [])).toBeLessThanOrEqual(file.endsWith(".jpg") ? 2 : 0);
    },
  );
});

describe("a file that is no picture", () => {
  it.each(["png", "jpeg", "webp"] as const)("a truncated %s is named", async (format) => {
    const noise = Uint8Array.from({ length: 90 * 90 * 3 }, (_, i) => (i * i * 31) % 251);
    const whole = await sharp(noise, { raw: { width: 90, height: 90, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    const path = write(`cut.${format}`, whole.subarray(0, Math.floor(whole.length / 2)));
    const error = { code: "ERR_IMAGE", message: expect.stringContaining(`cut.${format}`) };
    await expect(decodeImage(path)).rejects.toMatchObject(error);
  });
});
