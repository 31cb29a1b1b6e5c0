import { describe, expect, it } from "vitest";
import { placeImages } from "../../../lib/processing/index.js";

describe("placeImages", () => {
  it("puts pictures where the markers stand, and keeps the text around them", () => {
    const [system, user] = placeImages(
      [
        { role: "system", text: "Look at <image>." },
        { role: "user", text: "<image>\nand <image>?" },
      ],
      3,
    );
    expect(system?.content).toEqual([
      { type: "text", text: "Look at " },
      { type: "image" },
      { type: "text", text: "." },
    ]);
    expect(user?.content).toEqual([
      { type: "image" },
      { type: "text", text: "\nand " },
      { type: "image" },
      { type: "text", text: "?" },
    ]);
  });

  it("puts them before the first question where there are no markers", () => {
    const turns = placeImages(
      [
        { role: "system", text: "s" },
        { role: "user", text: "q" },
        { role: "assistant", text: "a" },
        { role: "user", text: "more" },
      ],
      2,
    );
    expect(turns.map(({ content }) => content)).toEqual([
      "s",
      [{ type: "image" }, { type: "image" }, { type: "text", text: "q" }],
      "a",
      "more",
    ]);
  });

  it("leaves texts without pictures as they are", () => {
    expect(placeImages([{ role: "user", text: "2 + 2?" }], 0)).toEqual([{ role: "user", content: "2 + 2?" }]);
  });

  it("does not read markers in answers", () => {
    const turns = placeImages(
      [
        { role: "user", text: "<image>" },
        { role: "assistant", text: "an <image> tag" },
      ],
      1,
    );
    expect(turns[1]?.content).toBe("an <image> tag");
  });

  it.each([
    ["<image> <image>", 1],
    ["<image>", 2],
    ["<image>", 0],
  ])("refuses %j with %d pictures", (text, images) => {
    expect(() => placeImages([{ role: "user", text }], images)).toThrow(expect.objectContaining({ code: "ERR_DATA" }));
  });
});
