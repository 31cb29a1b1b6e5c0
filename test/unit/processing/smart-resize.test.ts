import { describe, expect, it } from "vitest";
import { roundHalfEven, smartResize } from "../../../lib/processing/smart-resize.js";
import { goldenJson } from "../../support/golden.js";

interface Golden {
  /** height, width, min_pixels, max_pixels, result height, result width */
  smart_resize: [number, number, number, number, number, number][];
  refused: { width: number; height: number }[];
}

const golden = goldenJson<Golden>("images/images.json");

describe("smartResize", () => {
  it("equals transformers over a table of sizes and limits", () => {
    expect(golden.smart_resize.length).toBeGreaterThan(100);
    const ours = golden.smart_resize.map(([height, width, minPixels, maxPixels]) => {
      const size = smartResize(width, height, { factor: 28, minPixels, maxPixels });
      return [height, width, minPixels, maxPixels, size.height, size.width];
    });
    expect(ours).toEqual(golden.smart_resize);
  });

  it.each(golden.refused)("refuses $width × $height", ({ width, height }) => {
    const limits = { factor: 28, minPixels: 3136, maxPixels: 100352 };
    expect(() => smartResize(width, height, limits)).toThrow(expect.objectContaining({ code: "ERR_IMAGE" }));
  });

  it("still takes the ratio 200 itself", () => {
    const limits = { factor: 28, minPixels: 3136, maxPixels: 12845056 };
    expect(smartResize(5600, 28, limits)).toEqual({ width: 5600, height: 28 });
  });
});

describe("roundHalfEven", () => {
  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [3.5, 4],
    [2.4, 2],
    [2.6, 3],
  ])("rounds %d to %d", (value, expected) => {
    expect(roundHalfEven(value)).toBe(expected);
  });
});
