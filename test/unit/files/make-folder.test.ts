import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFolder } from "../../../lib/files/index.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();

test("makes what is missing, once or several times at once", async () => {
  const path = join(folder, "a", "b", "c");
  await Promise.all([makeFolder(path), makeFolder(path), makeFolder(join(folder, "a", "b", "d"))]);
  await makeFolder(path);
  expect(statSync(path).isDirectory()).toBe(true);
  expect(existsSync(join(folder, "a", "b", "d"))).toBe(true);
});

test("a file in the way is named as such", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  await expect(makeFolder(file)).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolder(join(file, "below"))).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.runIf(existsSync("/proc/self"))("ends where no folder can be made", async () => {
  await expect(makeFolder("/proc/none/below")).rejects.toMatchObject({ code: "ENOENT", syscall: "mkdir" });
});
