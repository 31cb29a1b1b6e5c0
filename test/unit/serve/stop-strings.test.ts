import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopStrings } from "../../../lib/serve/stop-strings.js";

function run(stops: readonly string[], pieces: readonly string[]) {
  const finder = new StopStrings(stops);
  const given = pieces.map((piece) => finder.push(piece));
  return { given, text: given.join("") + finder.end(), stopped: finder.stopped };
}

/** Letter by letter: the first end of the text so far that is a stop string, of several the longest. */
function expected(stops: readonly string[], text: string) {
  for (let end = 1; end <= text.length; end += 1) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const longest = Math.max(0, ...found.map(({ length }) => length));
    if (longest > 0) return { text: text.slice(0, end - longest), stopped: true };
  }
  return { text, stopped: false };
}

describe("stop strings", () => {
  test.each<[string[], string[], { given: string[]; text: string; stopped: boolean }]>([
    [["\n"], ["one", "\ntwo"], { given: ["one", ""], text: "one", stopped: true }],
    [["</a>"], ["x<", "/", "a", ">y"], { given: ["x", "", "", ""], text: "x", stopped: true }],
    [["</a>"], ["x<", "/b", ">"], { given: ["x", "</b", ">"], text: "x</b>", stopped: false }],
    [["END"], ["the E"], { given: ["the "], text: "the E", stopped: false }],
    [["abc", "b"], ["abc"], { given: ["a"], text: "a", stopped: true }],
    [["bc", "abc"], ["xab", "c"], { given: ["x", ""], text: "x", stopped: true }],
    [[], ["a", "b"], { given: ["a", "b"], text: "ab", stopped: false }],
  ])("%j in %j", (stops, pieces, result) => {
    expect(run(stops, pieces)).toEqual(result);
  });

  test("cut at the same place however the text comes", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c") });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(stops, fc.array(letters, { maxLength: 12 }), (given, pieces) => {
        const { text, stopped } = run(given, pieces);
        expect({ text, stopped }).toEqual(expected(given, pieces.join("")));
      }),
      { numRuns: 500 },
    );
  });
});
