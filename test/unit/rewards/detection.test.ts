import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DetectionOptions, detection } from "../../../lib/rewards/index.js";
import { goldenJson } from "../../support/golden.js";
import { judged, PICTURE } from "../../support/rewards.js";

interface Item {
  bbox_2d: number[];
  label: string;
  score?: number;
}
const { detection: golden } = goldenJson<{
  detection: { given: Item[]; wanted: Item[]; map: number; map50: number }[];
}>("rewards.json");

function score(options: DetectionOptions, given: unknown, wanted: unknown) {
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return judged(detection({ answerSpace: "original", ...options }), text(given), text(wanted));
}

const cat = { bbox_2d: [0, 0, 10, 10], label: "cat" };
const dog = { bbox_2d: [20, 0, 30, 10], label: "dog" };
const far = { bbox_2d: [90, 90, 99, 99], label: "cat" };

describe("detection", () => {
  test.each(golden)("mAP is COCO's", ({ given, wanted, map, map50 }) => {
    if (given.length === 0) return;
    expect(score({}, given, wanted)).toBeCloseTo(map, 10);
    expect(score({ metric: "map50" }, given, wanted)).toBeCloseTo(map50, 10);
  });

  test("F1 counts boxes under wrong labels and things that are no boxes as false alarms", () => {
    const f1 = (given: unknown, wanted: unknown) => score({ metric: "f1" }, given, wanted);
    expect(f1([cat, dog], [cat, dog])).toBe(1);
    expect(f1([cat], [cat, dog])).toBeCloseTo(2 / 3, 12);
    expect(f1([cat, far], [cat])).toBeCloseTo(2 / 3, 12);
    expect(f1([{ ...cat, label: "dog" }], [cat])).toBe(0);
    expect(f1([cat, "junk"], [cat])).toBeCloseTo(2 / 3, 12);
    expect(f1([cat, cat], [cat])).toBeCloseTo(2 / 3, 12);
  });

  test("the weighted sum is 0.7 position and 0.3 completeness", () => {
    const sum = (given: unknown, wanted: unknown) => score({ metric: "weighted_sum" }, given, wanted);
    expect(sum([cat, dog], [cat, dog])).toBeCloseTo(1, 12);
    expect(sum([cat], [cat, dog])).toBeCloseTo(0.7 * 0.5 + 0.3 * (1 - 0.5 / 2), 12);
    expect(sum([{ ...cat, label: "dog" }], [cat])).toBeCloseTo(0.3, 12);
    expect(sum([far], [cat])).toBeCloseTo(0, 12);
  });

  test("a length penalty for more boxes than wanted, none for fewer", () => {
    expect(score({ lengthPenalty: true, metric: "map50" }, [cat, far], [cat])).toBe(0.5);
    expect(score({ metric: "map50" }, [cat, far], [cat])).toBe(1);
    expect(score({ lengthPenalty: true, metric: "map50" }, [cat], [cat, { ...far }])).toBeCloseTo(51 / 101, 12);
  });

  test.each<[string, string, string, number | null]>([
    ["no JSON", "a cat", JSON.stringify([cat]), 0],
    ["broken JSON", '[{"bbox_2d": [0, 0, 10', JSON.stringify([cat]), 0],
    ["a block around it", `Here:\n\`\`\`json\n${JSON.stringify([cat])}\n\`\`\` done`, JSON.stringify([cat]), 1],
    ["a single object", JSON.stringify(cat), JSON.stringify([cat]), 1],
    ["labels in other case", JSON.stringify([{ ...cat, label: " Cat" }]), JSON.stringify([cat]), 1],
    ["nothing there, none said", "None", "None", 1],
    ["nothing there, an empty list", "[]", "none", 1],
    ["nothing there, something said", JSON.stringify([cat]), "None", 0],
    ["something there, none said", "None", JSON.stringify([cat]), 0],
    ["corners in the wrong order", '[{"bbox_2d":[10,10,0,0],"label":"cat"}]', JSON.stringify([cat]), 0],
    ["text as numbers", '[{"bbox_2d":["0","0","10","10"],"label":"cat"}]', JSON.stringify([cat]), 1],
    ["numbers beyond numbers", '[{"bbox_2d":[0,0,1e999,10],"label":"cat"}]', JSON.stringify([cat]), 0],
    ["a solution that cannot be read", JSON.stringify([cat]), "cats", null],
    ["an empty answer", "", JSON.stringify([cat]), 0],
  ])("%s", (_, given, wanted, expected) => {
    expect(score({}, given, wanted)).toBe(expected);
  });

  test("answers count pixels of the resized picture unless told otherwise", () => {
    const [given, wanted] = [
      [{ bbox_2d: [56, 28, 168, 140], label: "cat" }],
      [{ bbox_2d: [100, 50, 300, 250], label: "cat" }],
    ].map((list) => JSON.stringify(list)) as [string, string];
    expect(judged(detection(), given, wanted, {}, { images: [PICTURE] })).toBeCloseTo(1, 12);
  });

  test("any list earns 0 … 1 by any metric", () => {
    const edge = fc.integer({ min: -5, max: 60 });
    const item = fc.record({
      bbox_2d: fc.array(edge, { minLength: 3, maxLength: 5 }),
      label: fc.constantFrom("cat", "dog"),
    });
    const wanted = fc.array(fc.constantFrom(cat, dog, far), { maxLength: 4 });
    const metric = fc.constantFrom("map", "map50", "f1", "weighted_sum");
    fc.assert(
      fc.property(fc.array(item, { maxLength: 6 }), wanted, metric, fc.boolean(), (a, b, kind, lengthPenalty) => {
        const value = score({ metric: kind as "map", lengthPenalty }, a, b);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1 + 1e-12);
      }),
    );
  });
});
