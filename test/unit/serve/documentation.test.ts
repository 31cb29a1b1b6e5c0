import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { generateSchema } from "../../../lib/cli/generate-options.js";
import { FieldTable } from "../../../lib/config/fields.js";
import { serveSchema } from "../../../lib/config/serve-schema.js";

const read = (page: string) => readFileSync(new URL(`../../../docs/${page}.md`, import.meta.url), "utf8");

describe.each([
  ["serve", serveSchema],
  ["generate", generateSchema],
] as const)("docs/%s.md", (page, schema) => {
  test("names flags that there are", () => {
    const table = new FieldTable(schema);
    const named = [...read(page).matchAll(/--([a-z][a-z-]+)/g)].map(([, name = ""]) => name);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => name !== "json" && table.find(name) === undefined)).toEqual([]);
  });
});

test("docs/serve.md names the limits' defaults, all of them", () => {
  const { fields } = new FieldTable(serveSchema);
  const limits = fields.filter(({ heading }) => heading === "Limits");
  const said = [...read("serve").matchAll(/^\| `--([a-z-]+)` \| ([^|]+) \|/gm)].map(([, name, value]) => [name, value]);
  expect(said).toEqual(limits.map(({ kebab, defaultValue }) => [kebab, String(defaultValue ?? "the model's")]));
});
