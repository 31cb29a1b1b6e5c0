import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Box, boxIou, firstBox } from "../../../lib/rewards/boxes.js";
import { iou } from "../../../lib/rewards/index.js";
import { judged, PICTURE } from "../../support/rewards.js";

describe("the first box of a text", () => {
  test.each<[string, Box | undefined]>([
    ["[1, 2, 3, 4]", [1, 2, 3, 4]],
    ["[1,2,3,4] or [5,6,7,8]", [1, 2, 3, 4]],
    ['{"bbox_2d": [10, 20, 30, 40], "label": "cat"}', [10, 20, 30, 40]],
    ['```json\n[{"bbox_2d": [10.5, 20, 30.25, 40]}]\n```', [10.5, 20, 30.25, 40]],
    ["(1, 2, 3, 4)", [1, 2, 3, 4]],
    ["(1,2),(3,4)", [1, 2, 3, 4]],
    ["<|box_start|>(1,2),(3,4)<|box_end|>", [1, 2, 3, 4]],
    ["[[1, 2], [3, 4]]", [1, 2, 3, 4]],
    ["[1 2 3 4]", [1, 2, 3, 4]],
    ['["1", "2", "3", "4"]', [1, 2, 3, 4]],
    ["［１，２，３，４］", [1, 2, 3, 4]],
    ["[-1, .5, 3., +4]", [-1, 0.5, 3, 4]],
    ["[3, 2, 1, 4]", undefined],
    ["[1, 2, 3]", undefined],
    ["[1, 2, 3, 4, 5]", undefined],
    ["[1, 2, 3, NaN]", undefined],
    ["1, 2, 3, 4", undefined],
    ["", undefined],
  ])("%j", (text, expected) => {
    expect(firstBox(text)).toEqual(expected);
  });
});

describe("IoU", () => {
  test.each<[Box, Box, number]>([
    [[0, 0, 10, 10], [0, 0, 10, 10], 1],
    [[0, 0, 10, 10], [5, 0, 15, 10], 1 / 3],
    [[0, 0, 10, 10], [10, 0, 20, 10], 0],
    [[0, 0, 10, 10], [2, 2, 4, 4], 0.04],
    [[5, 5, 5, 5], [5, 5, 5, 5], 0],
  ])("of %j and %j is %d", (a, b, expected) => {
    expect(boxIou(a, b)).toBeCloseTo(expected, 12);
  });

  test("is symmetric, from 0 to 1, and does not mind what an axis is multiplied by", () => {
    const side = fc.integer({ min: 1, max: 500 });
    const box = fc.tuple(side, side, side, side).map(([x, y, w, h]): Box => [x, y, x + w, y + h]);
    fc.assert(
      fc.property(box, box, side, side, (a, b, fx, fy) => {
        const scaled = ([x1, y1, x2, y2]: Box): Box => [x1 * fx, y1 * fy, x2 * fx, y2 * fy];
        expect(boxIou(a, b)).toBe(boxIou(b, a));
        expect(boxIou(a, b)).toBeGreaterThanOrEqual(0);
        expect(boxIou(a, b)).toBeLessThanOrEqual(1);
        expect(boxIou(scaled(a), scaled(b))).toBeCloseTo(boxIou(a, b), 12);
      }),
    );
  });
});

describe("iou", () => {
  // The file has 1000 × 500 pixels, the model sees 560 × 280; the same place in all four spaces.
  const truth = "[100, 50, 300, 250]";
  const places = {
    processed: "[56, 28, 168, 140]",
    original: truth,
    norm1000: "[100, 100, 300, 500]",
    norm1: "[0.1, 0.1, 0.3, 0.5]",
  } as const;
  const spaces = Object.keys(places) as (keyof typeof places)[];

  test.each(spaces.flatMap((answerSpace) => spaces.map((truthSpace) => [answerSpace, truthSpace] as const)))(
    "an answer in %s, the truth in %s",
    (answerSpace, truthSpace) => {
      const reward = iou({ answerSpace, truthSpace });
      expect(judged(reward, places[answerSpace], places[truthSpace], {}, { images: [PICTURE] })).toBeCloseTo(1, 12);
    },
  );

  test("reads answers in pixels of the resized picture, the truth in those of the file, unless told otherwise", () => {
    expect(judged(iou(), places.processed, truth, {}, { images: [PICTURE] })).toBeCloseTo(1, 12);
    expect(judged(iou(), truth, truth, {}, { images: [PICTURE] })).toBeLessThan(0.5);
  });

  test("a threshold makes it 1 or 0", () => {
    const at = (threshold: number) => judged(iou({ threshold, answerSpace: "original" }), "[0,0,10,10]", "[0,0,10,20]");
    expect(at(0.5)).toBe(1);
    expect(at(0.51)).toBe(0);
    expect(judged(iou({ threshold: 0, answerSpace: "original" }), "none", "[0,0,1,1]")).toBe(0);
  });

  test("another of several pictures", () => {
    const images = [{ ...PICTURE, width: 1, height: 1 }, PICTURE];
    expect(judged(iou({ image: 1 }), places.processed, truth, {}, { images })).toBeCloseTo(1, 12);
  });

  test("no box in the answer earns 0, none in the solution does not apply", () => {
    expect(judged(iou(), "there", truth, {}, { images: [PICTURE] })).toBe(0);
    expect(judged(iou(), "[1,2,3,4]", "there", {}, { images: [PICTURE] })).toBeNull();
  });

  test("without the picture whose size is needed it says so", () => {
    expect(() => judged(iou(), "[1,2,3,4]", truth)).toThrow(/size says what processed coordinates mean/);
  });
});
