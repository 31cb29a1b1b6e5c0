import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFolder, replaceFile } from "../../../lib/files/index.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();

test("a folder is made with those above it, also where another call makes them, and where it is there", async () => {
  const deep = join(folder, "a", "b", "c");
  await Promise.all([makeFolder(deep), makeFolder(join(folder, "a", "b", "d")), makeFolder(deep)]);
  await makeFolder(deep);
  expect([deep, join(folder, "a", "b", "d")].every(existsSync)).toBe(true);
});

test("where a file is in the way it says so", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(makeFolder(join(folder, "file"))).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolder(join(folder, "file", "below"))).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.runIf(process.platform === "linux")(
  "a system that has no room for folders is no reason to try for ever",
  async () => {
    await expect(replaceFile("/proc/none/below/x", { what: "write" }, async () => undefined)).rejects.toThrow(
      "cannot write /proc/none/below/x: no folder can be made there",
    );
  },
);
