import fc from "fast-check";
import { expect, test } from "vitest";
import { clip } from "../../../lib/page/text.js";

test("text is cut to measure, and says how much is missing", () => {
  expect(clip("寿司", 2)).toBe("寿司");
  expect(clip("abcdef", 4)).toBe("abcd… (2 more characters)");
  expect(clip("abc🍣def", 4)).toBe("abc… (5 more characters)");
});

test("whatever text comes, what goes out is well-formed", () => {
  const any = fc.string({ unit: "binary" }).chain((text) => fc.constantFrom(text, `${text}\ud800`, `\udc00${text}`));
  fc.assert(
    fc.property(any, fc.nat(20), (text, limit) => {
      const shown = clip(text, limit);
      // Throws for half a pair.
      encodeURIComponent(shown);
      if (text.length > limit) expect(shown).toMatch(/… \(\d+ more characters\)$/);
    }),
  );
});
