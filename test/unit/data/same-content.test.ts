import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentKeys, linkedRows, type Row } from "../../../lib/data/datasets/index.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();
mkdirSync(join(folder, "pictures"));
writeFileSync(join(folder, "pictures", "a.png"), "a");
symlinkSync(join(folder, "pictures", "a.png"), join(folder, "link.png"));

const row = (content: Row["messages"][number]["content"], images: string[] = []): Row => ({
  id: "x",
  messages: [{ role: "user", content }],
  images,
  solution: "",
  raw: {},
});

describe("what rows share", () => {
  it("is a picture's file, by whatever path", async () => {
    const one = join(folder, "pictures", "a.png");
    const keys = await contentKeys([
      row("what?", [one]),
      row("where?", [join(folder, "pictures", "..", "pictures", "a.png")]),
      row("who?", [join(folder, "link.png"), "/gone.png"]),
      row("why?", ["/gone.png"]),
    ]);
    expect(keys[1]).toEqual(keys[0]);
    expect(keys[2]?.[0]).toBe(keys[0]?.[0]);
    expect(keys[3]).toEqual([keys[2]?.[1]]);
    expect(keys[3]).not.toEqual(keys[0]);
  });

  it("is the question where there is no picture, and only there", async () => {
    const question = "2 + 2?";
    const [text, parts, other, seen] = await contentKeys([
      row(question),
      row([{ type: "text", text: `${question}\n` }]),
      row("2 + 3?"),
      row([{ type: "image" }, { type: "text", text: question }], ["/gone.png"]),
    ]);
    expect(parts).toEqual(text);
    expect(other).not.toEqual(text);
    expect(seen).not.toEqual(text);
    const before: Row = { ...row(question), messages: [{ role: "system", content: "s" }, ...row(question).messages] };
    expect((await contentKeys([before]))[0]).not.toEqual(text);
  });

  it("links rows directly and through others", () => {
    expect(linkedRows([["a"], ["b"], ["c", "a"], ["d"], ["b", "c"], ["e"]])).toEqual([[0, 1, 2, 4], [3], [5]]);
    expect(linkedRows([])).toEqual([]);
  });

  it("links what a walk from row to row reaches", () => {
    const keyLists = fc.array(fc.uniqueArray(fc.nat({ max: 12 }).map(String), { minLength: 1, maxLength: 3 }), {
      maxLength: 25,
    });
    fc.assert(
      fc.property(keyLists, (keys) => {
        const groups = linkedRows(keys);
        expect(groups.flat().sort((a, b) => a - b)).toEqual([...keys.keys()]);
        for (const group of groups) expect(group).toEqual(reachable(keys, group[0]!));
      }),
    );
  });
});

function reachable(keys: string[][], from: number): number[] {
  const met = new Set([from]);
  for (const one of met) {
    for (const [other, own] of keys.entries()) if (own.some((key) => keys[one]?.includes(key))) met.add(other);
  }
  return [...met].sort((a, b) => a - b);
}
