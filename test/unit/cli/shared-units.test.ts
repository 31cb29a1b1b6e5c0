import { describe, expect, it } from "vitest";
import { confusionLines } from "../../../lib/cli/analysis-text.js";
import { shownNames } from "../../../lib/cli/shared-units.js";

const food = ["tofu kcal", "brown rice kcal", "fig kcal"];
const chinese = ["西兰花 千卡", "米饭 千卡", "豆腐 千卡"];

describe("names of answers in tables", () => {
  it("are without the units that all of them end with, in one language or two", () => {
    const { without, show } = shownNames([...food, ...chinese, "fig kcal"]);
    expect(without).toBe(" (without kcal, 千卡)");
    expect([...food, ...chinese].map(show)).toEqual(["tofu", "brown rice", "fig", "西兰花", "米饭", "豆腐"]);
    // What was answered may be no name of the data.
    expect(["fig", "fig kJ", "kcal", ""].map(show)).toEqual(["fig", "fig kJ", "kcal", ""]);
  });

  it.each([
    ["one has no unit", [...food, "apple"]],
    ["the last word tells them apart", ["red apple", "green apple", "blue pear", "red plum"]],
    ["few have it", food.slice(1)],
    ["two would be the same", [...food, "fig kJ", "rye kJ", "oat kJ"]],
    ["there are none", []],
  ])("are whole where %s", (_, names) => {
    expect(shownNames(names).without).toBe("");
    expect(names.map(shownNames(names).show)).toEqual(names);
  });

  it("keep their units where these alone were confused", () => {
    const wrong = { count: 1, share: 1 };
    const counts = [
      ...food.map((expected) => ({ expected, answered: expected, ...wrong })),
      ...chinese.map((expected) => ({ expected, answered: null, ...wrong })),
      { expected: "fig kcal", answered: "tofu kcal", ...wrong },
      { expected: "fig kcal", answered: "fig 千卡", ...wrong },
    ];
    const text = confusionLines(counts, 10).join("\n");
    expect(text).toMatch(/^expected \(without kcal, 千卡\) +answered/);
    expect(text).toMatch(/\n西兰花 +\(no answer\)/);
    expect(text).toMatch(/\nfig +tofu +1/);
    expect(text).toMatch(/\nfig kcal +fig 千卡 +1/);
  });
});
