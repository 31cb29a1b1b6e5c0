import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { shellQuote } from "../../../lib/cli/output.js";

test("shellQuote gives a word that a shell reads back, and leaves plain ones as they are", () => {
  expect(shellQuote("runs/food-2026/config.yaml")).toBe("runs/food-2026/config.yaml");
  for (const word of ["my runs/a.yaml", "it's", '$HOME `x` "y"', "", "a\\b", "ключ"]) {
    expect(execFileSync("sh", ["-c", `printf %s ${shellQuote(word)}`], { encoding: "utf8" })).toBe(word);
  }
});
