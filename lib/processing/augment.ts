import sharp from "sharp";
import { decodeImage, type RgbImage } from "./image.js";

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
  const at = (x: number, y: number, c: number) =>
    x < 0 || y < 0 || x >= width || y >= height
      ? (outside[c] as number)
      : (rgb[(y * width + (flip ? width - 1 - x : x)) * 3 + c] as number);
  for (let y = 0; y < height; y += 1) {
    const fromY = (y - height / 2 + 0.5 - shiftY) / scale + height / 2 - 0.5;
    const y0 = Math.floor(fromY);
    const fy = fromY - y0;
    for (let x = 0; x < width; x += 1) {
      const fromX = (x - width / 2 + 0.5 - shiftX) / scale + width / 2 - 0.5;
      const x0 = Math.floor(fromX);
      const fx = fromX - x0;
      for (let c = 0; c < 3; c += 1) {
        const above = at(x0, y0, c) * (1 - fx) + at(x0 + 1, y0, c) * fx;
        const below = at(x0, y0 + 1, c) * (1 - fx) + at(x0 + 1, y0 + 1, c) * fx;
        out[(y * width + x) * 3 + c] = Math.round(above * (1 - fy) + below * fy);
      }
    }
  }
  return { rgb: out, width, height };
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
