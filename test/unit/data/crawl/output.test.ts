import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openCsv } from "../../../../lib/data/convert/csv.js";
import { writeCsv } from "../../../../lib/data/crawl/output.js";
import { parseSite } from "../../../../lib/data/crawl/site.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();
const field = { selector: "p" };
const site = parseSite(
  { start: [{ url: "https://h.example/" }], item: "li", fields: { name: field, heat: field } },
  "s",
);

/** The CSV as `convert` reads it. */
async function readBack(): Promise<Record<string, unknown>[]> {
  const source = await openCsv(join(folder, "items.csv"));
  const rows: Record<string, unknown>[] = [];
  for await (const item of source.read(new Set())) if ("record" in item && item.record) rows.push(item.record.fields);
  return rows;
}

test("whatever texts items have, convert reads them as they were", async () => {
  // An apostrophe in front would be taken for the one that keeps a spreadsheet from running the text.
  const text = fc
    .oneof(fc.string(), fc.constantFrom("=1+1", "+1", "-3", "@a", '"', ",", "a\nb", "食物", ";", "\t", "x\r\ny", "N/A"))
    .filter((value) => !value.startsWith("'") && value.trim() !== "");
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 6 }), async (items) => {
      await writeCsv(
        folder,
        site,
        items.map((values) => ({ values, imagePath: "" })),
      );
      expect(await readBack()).toEqual(items.map(([name, heat]) => ({ name, heat })));
    }),
    { numRuns: 60 },
  );
});
