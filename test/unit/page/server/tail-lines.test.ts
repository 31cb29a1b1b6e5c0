import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TailLines } from "../../../../lib/page/server/tail-lines.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();
const newPath = () => join(mkdtempSync(join(folder, "tail-")), "lines.jsonl");

describe("lines that are appended", () => {
  test("come whole, each once, however the file grows", async () => {
    const piece = fc.stringMatching(/^[\n a-c玉😀]{0,20}$/u);
    await fc.assert(
      fc.asyncProperty(fc.array(piece), fc.nat(5), async (pieces, skipped) => {
        const path = newPath();
        const bytes = Buffer.from(pieces.join(""));
        const before = bytes.subarray(0, Math.min(bytes.length, skipped * 7));
        writeFileSync(path, before);
        const tail = new TailLines(path);
        await tail.skip();
        const found: string[] = [];
        // Cut anywhere, also within a character.
        for (let at = before.length; at < bytes.length; at += 5) {
          appendFileSync(path, bytes.subarray(at, at + 5));
          found.push(...((await tail.read()) ?? ["replaced"]));
        }
        const from = before.lastIndexOf(10) + 1;
        const whole = bytes.subarray(from).toString("utf8").split("\n").slice(0, -1);
        expect(found).toEqual(whole);
      }),
      { numRuns: 60 },
    );
  });

  test("after a long line that has begun come with all of it", async () => {
    const path = newPath();
    writeFileSync(path, `a\n${"x".repeat(200_000)}`);
    const tail = new TailLines(path);
    await tail.skip();
    expect(await tail.read()).toEqual([]);
    appendFileSync(path, "y\nz\n");
    expect(await tail.read()).toEqual([`${"x".repeat(200_000)}y`, "z"]);
  });

  test("are not told of a file that was cut, replaced or removed: that is to be read anew", async () => {
    const path = newPath();
    const tail = new TailLines(path);
    expect(await tail.read()).toEqual([]);
    writeFileSync(path, "a\nb\n");
    await tail.skip();
    truncateSync(path, 2);
    expect(await tail.read()).toBeUndefined();
    await tail.skip();
    writeFileSync(`${path}.new`, "a\nb\nc\n");
    renameSync(`${path}.new`, path);
    expect(await tail.read()).toBeUndefined();
    await tail.skip();
    rmSync(path);
    expect(await tail.read()).toBeUndefined();
    await tail.skip();
    expect(await tail.read()).toEqual([]);
  });
});
