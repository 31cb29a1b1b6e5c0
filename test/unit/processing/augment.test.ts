import { describe, expect, test } from "vitest";
import { RandomStream } from "../../../lib/data/random.js";
import { AUGMENT_LIMITS, augment, augmentPicture } from "../../../lib/processing/augment.js";
import { decodeImage, type RgbImage } from "../../../lib/processing/index.js";
import { goldenPath } from "../../support/golden.js";

const STILL = { shift: 0, minScale: 1, maxScale: 1, flip: 0, colour: 0 };
const picture = {
  rgb: Uint8Array.from({ length: 8 * 6 * 3 }, (_, index) => (index * 37) % 251),
  width: 8,
  height: 6,
};
const random = (seed: number) => {
  const stream = new RandomStream(seed);
  return () => stream.uniform();
};
const pixel = ({ rgb, width }: RgbImage, x: number, y: number) => [
  ...rgb.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
];

describe("augment", () => {
  test("changes nothing where nothing may change", () => {
    expect(augment(picture, random(1), STILL)).toEqual(picture);
  });

  test("mirrors left and right", () => {
    const mirrored = augment(picture, random(1), { ...STILL, flip: 1 });
    for (const [x, y] of [
      [0, 0],
      [3, 2],
      [7, 5],
    ] as const) {
      expect(pixel(mirrored, x, y)).toEqual(pixel(picture, 7 - x, y));
    }
  });

  test("fills what comes in from outside with the colour of the corners", () => {
    const white = { rgb: new Uint8Array(48).fill(255), width: 4, height: 4 };
    white.rgb.set([0, 0, 0], (1 * 4 + 1) * 3);
    const shrunk = augment(white, random(2), { ...STILL, minScale: 0.5, maxScale: 0.5 });
    for (const [x, y] of [
      [0, 0],
      [3, 0],
      [0, 3],
      [3, 3],
    ] as const)
      expect(pixel(shrunk, x, y)).toEqual([255, 255, 255]);
    expect(Math.min(...shrunk.rgb)).toBeLessThan(255);
  });

  test("the same random numbers give the same pixels, others give others", () => {
    const once = augment(picture, random(5), AUGMENT_LIMITS);
    expect(augment(picture, random(5), AUGMENT_LIMITS)).toEqual(once);
    expect(augment(picture, random(6), AUGMENT_LIMITS)).not.toEqual(once);
  });
});

test("a picture's file comes out as a picture of the same size, without loss", async () => {
  const path = goldenPath("../../examples/food/images/noto/red-apple.png");
  const bytes = await augmentPicture(path, random(3));
  const out = await decodeImage(bytes);
  const source = await decodeImage(path);
  expect([out.width, out.height]).toEqual([source.width, source.height]);
  expect(out.rgb).toEqual(augment(source, random(3)).rgb);
});
