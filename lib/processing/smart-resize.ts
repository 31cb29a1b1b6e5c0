import { VlmR1Error } from "../errors/index.js";

export interface ResizeLimits {
  /** Both sides become multiples of this: patch size × merge size. */
  factor: number;
  minPixels: number;
  maxPixels: number;
}

const MAX_ASPECT_RATIO = 200;

/**
 * The size that Qwen2-VL's processor gives a picture: sides are multiples of `factor`, the area is within the limits,
 * the aspect ratio is kept as well as that allows. Equal to `smart_resize` of transformers.
 */
export function smartResize(width: number, height: number, limits: ResizeLimits): { width: number; height: number } {
  const { factor, minPixels, maxPixels } = limits;
  const ratio = Math.max(width, height) / Math.min(width, height);
  if (!(ratio <= MAX_ASPECT_RATIO)) {
    throw new VlmR1Error(
      "ERR_IMAGE",
      `expected an aspect ratio of at most ${MAX_ASPECT_RATIO}, got ${width} × ${height} (${ratio})`,
    );
  }
  const rounded = { width: roundHalfEven(width / factor) * factor, height: roundHalfEven(height / factor) * factor };
  const area = rounded.width * rounded.height;
  if (area > maxPixels) {
    const beta = Math.sqrt((height * width) / maxPixels);
    const shrink = (side: number) => Math.max(factor, Math.floor(side / beta / factor) * factor);
    return { width: shrink(width), height: shrink(height) };
  }
  if (area < minPixels) {
    const beta = Math.sqrt(minPixels / (height * width));
    const enlarge = (side: number) => Math.ceil((side * beta) / factor) * factor;
    return { width: enlarge(width), height: enlarge(height) };
  }
  return rounded;
}

/** Python's `round`: a half goes to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
