import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../lib/engine/index.js";
import { Processor } from "../../lib/processing/index.js";
import { goldenJson, goldenPath, maxDifference, readTensors } from "../support/golden.js";

interface Golden {
  name: string;
  file: string;
  width: number;
  height: number;
  min_pixels: number;
  max_pixels: number;
  resized_width: number;
  resized_height: number;
  grid: [number, number, number];
  tokens: number;
}

const { images } = goldenJson<{ images: Golden[] }>("images/images.json");
const tensors = readTensors(goldenPath("images/images.safetensors"));
const TOLERANCE = 2e-7;

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open({ device: "cpu" });
});
afterAll(() => engine.dispose());

function load({ min_pixels: minPixels, max_pixels: maxPixels }: Golden): Promise<Processor> {
  return Processor.load(goldenPath("qwen2_5_vl_a"), engine, { minPixels, maxPixels });
}

describe("pixel values against transformers' processor", () => {
  it.each(images)("$name, from Pillow's pixels", async (golden) => {
    const rgb = tensors.get(`${golden.name}.rgb`)?.data as Uint8Array;
    const { minPixels: _min, maxPixels: _max, ...settings } = (await load(golden)).imageSettings;
    const image = await engine.processImage({
      rgb,
      width: golden.width,
      height: golden.height,
      resizedWidth: golden.resized_width,
      resizedHeight: golden.resized_height,
      ...settings,
    });
    const expected = tensors.get(`${golden.name}.pixel_values`)?.data ?? [];
    expect(image.grid).toEqual(golden.grid);
    expect(maxDifference(image.pixelValues, expected)).toBeLessThanOrEqual(TOLERANCE);
  });

  // JPEG decoders differ by a level or two, so only lossless files can be compared from the file on.
  it.each(images.filter(({ file }) => !file.endsWith(".jpg")))("$name, from the file", async (golden) => {
    const picture = await (await load(golden)).picture(goldenPath(`images/${golden.file}`));
    const expected = tensors.get(`${golden.name}.pixel_values`)?.data ?? [];
    expect([picture.resizedWidth, picture.resizedHeight]).toEqual([golden.resized_width, golden.resized_height]);
    expect([picture.image.grid, picture.tokens]).toEqual([golden.grid, golden.tokens]);
    expect(maxDifference(picture.image.pixelValues, expected)).toBeLessThanOrEqual(TOLERANCE);
  });
});
