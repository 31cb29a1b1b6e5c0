import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { lastLinesOf, linesOf } from "../../../lib/report/json-lines.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();
const file = (text: string) => {
  const path = join(folder, "lines");
  writeFileSync(path, text);
  return path;
};

test("the last lines are those of a whole reading, wherever blocks are cut", async () => {
  const line = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.nat(70_000).map((length) => "é".repeat(length)),
    fc.constant("\u2028🍣"),
  );
  const lines = fc.array(
    line.map((text) => text.replaceAll("\n", " ").replaceAll(/[\ud800-\udfff]/g, "x")),
    {
      maxLength: 12,
    },
  );
  await fc.assert(
    fc.asyncProperty(lines, fc.integer({ min: 1, max: 14 }), async (all, count) => {
      const path = file(all.map((text) => `${text}\n`).join(""));
      expect(await lastLinesOf(path, count)).toEqual(all.slice(-count));
    }),
    { numRuns: 60 },
  );
});

test("a line that does not end is none of them", async () => {
  const path = file("one\ntwo\n");
  appendFileSync(path, '{"step":3,"rew');
  expect(await lastLinesOf(path, 1)).toEqual(["two"]);
  expect(await lastLinesOf(path, 5)).toEqual(["one", "two"]);
  expect(await lastLinesOf(file("torn"), 5)).toEqual([]);
});

test("no more than so many bytes are read: lines that are longer are fewer", async () => {
  const long = "x".repeat(50_000);
  const path = file(`${long}1\n${long}2\n${long}3\n`);
  expect(await lastLinesOf(path, 3, 120_000)).toEqual([`${long}2`, `${long}3`]);
});

test("no file has no lines", async () => {
  expect(await lastLinesOf(join(folder, "none"), 5)).toEqual([]);
  for await (const line of linesOf(join(folder, "none"))) expect.fail(line);
});
