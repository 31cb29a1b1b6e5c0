import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FieldTable } from "../../../lib/config/fields.js";
import { serveSchema } from "../../../lib/config/serve-schema.js";

const page = readFileSync(new URL("../../../docs/serve.md", import.meta.url), "utf8");

test("docs/serve.md names the limits' defaults, all of them", () => {
  const { fields } = new FieldTable(serveSchema);
  const limits = fields.filter(({ heading }) => heading === "Limits");
  const said = [...page.matchAll(/^\| `--([a-z-]+)` \| ([^|]+) \|/gm)].map(([, name, value]) => [name, value]);
  expect(said).toEqual(limits.map(({ kebab, defaultValue }) => [kebab, String(defaultValue ?? "the model's")]));
});
