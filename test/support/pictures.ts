import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import sharp from "sharp";

/** A PNG of one colour, by its shade from 0 to 255: another shade is another picture. */
export function picture(shade: number, size = 8): Promise<Buffer> {
  const background = { r: shade, g: 255 - shade, b: 100 };
  return sharp({ create: { width: size, height: size, channels: 3, background } })
    .png()
    .toBuffer();
}

/** Writes a picture, and the folders above it. */
export async function writePicture(path: string, shade: number, size?: number): Promise<string> {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, await picture(shade, size));
  return path;
}
