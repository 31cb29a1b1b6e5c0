import fc from "fast-check";
import { expect, test } from "vitest";
import { linesIn } from "../../../lib/files/index.js";

async function linesOf(pieces: readonly string[]): Promise<string[]> {
  async function* comes() {
    yield* pieces;
  }
  const lines: string[] = [];
  for await (const line of linesIn(comes())) lines.push(line);
  return lines;
}

test("lines are the same however the text comes", async () => {
  const piece = fc.string({ unit: fc.constantFrom("a", "\n", "\r", "\u2028", "é") });
  await fc.assert(
    fc.asyncProperty(fc.array(piece), async (pieces) => {
      const lines = pieces.join("").split("\n");
      if (lines.at(-1) === "") lines.pop();
      expect(await linesOf(pieces)).toEqual(lines);
    }),
  );
});

test("a line of many pieces is not read again with each", async () => {
  // With every piece searched anew this is 10^11 characters.
  const pieces = Array.from({ length: 20_000 }, () => "x".repeat(500));
  expect((await linesOf([...pieces, "\n", "y"])).map(({ length }) => length)).toEqual([10_000_000, 1]);
});
