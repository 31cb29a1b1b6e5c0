import { decodeImage, type RgbImage } from "./image.js";
import { loadSharp } from "./sharp.js";

/** Uniform in [0, 1). */
export type Random = () => number;

/** How far a picture may be changed; shares of its size, factors around 1. */
export interface AugmentLimits {
  shift: number;
  minScale: number;
  maxScale: number;
  /** Probability of mirroring left and right. */
  flip: number;
  /** Largest change of brightness, contrast, saturation and of each colour channel. */
  colour: number;
}

export const AUGMENT_LIMITS: AugmentLimits = { shift: 0.1, minScale: 0.75, maxScale: 1.15, flip: 0.5, colour: 0.2 };

/** Decodes a picture, changes it at random, and encodes it without loss, ready to be processed as any other. */
export async function augmentPicture(
  source: string,
  random: Random,
  alpha: "white" | "drop" = "white",
  limits: AugmentLimits = AUGMENT_LIMITS,
): Promise<Uint8Array> {
  const { rgb, width, height } = augment(await decodeImage(source, { alpha }), random, limits);
  const sharp = await loadSharp();
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

/** Shifts, scales, mirrors and recolours; the size stays. The same random numbers give the same pixels. */
export function augment(picture: RgbImage, random: Random, limits: AugmentLimits = AUGMENT_LIMITS): RgbImage {
  const between = (low: number, high: number) => low + (high - low) * random();
  const flip = random() < limits.flip;
  const scale = between(limits.minScale, limits.maxScale);
  const shiftX = between(-limits.shift, limits.shift) * picture.width;
  const shiftY = between(-limits.shift, limits.shift) * picture.height;
  const factor = () => between(1 - limits.colour, 1 + limits.colour);
  const colour: Colour = {
    contrast: factor(),
    saturation: factor(),
    gains: [0, 1, 2].map(() => between(1 - limits.colour / 2, 1 + limits.colour / 2)),
    brightness: between(-limits.colour, limits.colour) * 128,
  };
  return recolour(transform(picture, { flip, scale, shiftX, shiftY }), colour);
}

interface Transform {
  flip: boolean;
  scale: number;
  shiftX: number;
  shiftY: number;
}

/** Bilinear; what comes in from outside the picture has the mean colour of its corners. */
function transform({ rgb, width, height }: RgbImage, { flip, scale, shiftX, shiftY }: Transform): RgbImage {
  const out = new Uint8Array(rgb.length);
  const outside = cornerColour(rgb, width, height);
  const columns = sources(width, scale, shiftX, flip);
  const rows = sources(height, scale, shiftY, false);
  const value = (row: number, column: number, c: number) =>
    row < 0 || column < 0 ? (outside[c] as number) : (rgb[(row * width + column) * 3 + c] as number);
  let to = 0;
  for (const { first: top, second: bottom, weight: down } of rows) {
    for (const { first: left, second: right, weight: across } of columns) {
      for (let c = 0; c < 3; c += 1) {
        const above = value(top, left, c) * (1 - across) + value(top, right, c) * across;
        const below = value(bottom, left, c) * (1 - across) + value(bottom, right, c) * across;
        out[to] = Math.round(above * (1 - down) + below * down);
        to += 1;
      }
    }
  }
  return { rgb: out, width, height };
}

/** Along one axis: which two source pixels each pixel mixes, −1 outside, and the share of the second. */
function sources(size: number, scale: number, shift: number, flip: boolean) {
  const inside = (at: number) => (at < 0 || at >= size ? -1 : flip ? size - 1 - at : at);
  return Array.from({ length: size }, (_, index) => {
    const from = (index - size / 2 + 0.5 - shift) / scale + size / 2 - 0.5;
    const first = Math.floor(from);
    return { first: inside(first), second: inside(first + 1), weight: from - first };
  });
}

function cornerColour(rgb: Uint8Array, width: number, height: number): number[] {
  const corners = [0, width - 1, (height - 1) * width, height * width - 1];
  return [0, 1, 2].map((c) => corners.reduce((sum, corner) => sum + (rgb[corner * 3 + c] as number), 0) / 4);
}

interface Colour {
  contrast: number;
  saturation: number;
  /** Per channel. */
  gains: number[];
  brightness: number;
}

function recolour({ rgb, width, height }: RgbImage, colour: Colour): RgbImage {
  const out = new Uint8Array(rgb.length);
  for (let i = 0; i < rgb.length; i += 3) {
    const grey = 0.299 * (rgb[i] as number) + 0.587 * (rgb[i + 1] as number) + 0.114 * (rgb[i + 2] as number);
    for (let c = 0; c < 3; c += 1) {
      const saturated = grey + ((rgb[i + c] as number) - grey) * colour.saturation;
      const value = (saturated - 128) * colour.contrast + 128 + colour.brightness;
      out[i + c] = Math.max(0, Math.min(255, Math.round(value * (colour.gains[c] as number))));
    }
  }
  return { rgb: out, width, height };
}
