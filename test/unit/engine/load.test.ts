import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { addonPath, packageRoot, packageVersion } from "../../../lib/engine/index.js";
import { temporaryFolder } from "../../support/temporary.js";

it("finds the package it belongs to", () => {
  expect(packageRoot()).toBe(join(import.meta.dirname, "../../.."));
  expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+/);
});

it("says what to do where there is no addon", () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "vlmr1-native" }));
  expect(() => addonPath(folder)).toThrow(
    expect.objectContaining({ code: "ERR_ADDON", hint: expect.stringContaining("npm run build") }),
  );
});
