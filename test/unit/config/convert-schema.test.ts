import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { convertSchema } from "../../../lib/config/convert-schema.js";
import { toKebab } from "../../../lib/config/names.js";

const page = readFileSync(new URL("../../../docs/convert.md", import.meta.url), "utf8");
const names = Object.entries(convertSchema.shape).flatMap(([name, field]) => [
  name,
  ...((field.meta()?.aliases as string[] | undefined) ?? []),
]);

test("docs/convert.md names flags that there are", () => {
  const known = new Set([...names.map(toKebab), "json"]);
  // Of another command.
  const own = page.replaceAll(/^vlmr1-native train .*$/gm, "");
  const used = [...own.matchAll(/--([a-z][a-z-]+)/g)].map(([, flag = ""]) => flag);
  expect(used.length).toBeGreaterThan(20);
  expect(used.filter((flag) => !known.has(flag))).toEqual([]);
});

test("docs/convert.md links to what there is", () => {
  for (const [, target = ""] of page.matchAll(/\]\((\.\.[^)]+)\)/g)) {
    expect(target).toBe("../examples/templates");
  }
  expect(page).toContain("](#statistics)");
});
