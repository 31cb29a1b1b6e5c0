import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "csv-stringify/sync";
import fc from "fast-check";
import iconv from "iconv-lite";
import { describe, expect, it } from "vitest";
import { detectDelimiter, openCsv, unescapeFormula } from "../../../../lib/data/convert/csv.js";
import type { SourceItem } from "../../../../lib/data/convert/source.js";
import { VlmR1Error } from "../../../../lib/errors/index.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();

function write(content: string | Buffer, name = "table.csv"): string {
  const path = join(mkdtempSync(join(folder, "t-")), name);
  writeFileSync(path, content);
  return path;
}

async function readAll(content: string | Buffer, options = {}) {
  const source = await openCsv(write(content), options);
  const items: SourceItem[] = [];
  for await (const item of source.read(new Set())) items.push(item);
  const records = items.flatMap((item) => ("record" in item ? [item.record] : []));
  const problems = items.flatMap((item) => ("problem" in item ? [item.problem] : []));
  return { source, records, problems, rows: records.map(({ fields }) => Object.values(fields)) };
}

describe("a CSV file", () => {
  it("is read with its mark, quotes, empty lines and the lines that rows begin at", async () => {
    const { source, records } = await readAll('\uFEFFname,heat\r\n"a, ""b""",1\r\n\r\n"two\nlines",2\r\nlast,3');
    expect(source.columns).toEqual(["name", "heat"]);
    expect(records).toEqual([
      { place: "line 2", fields: { name: 'a, "b"', heat: "1" } },
      { place: "line 4", fields: { name: "two\nlines", heat: "2" } },
      { place: "line 6", fields: { name: "last", heat: "3" } },
    ]);
  });

  it.each([
    ["one way, then in another", "a,b\r\n1,2\n3,4\r\n5,6", ["line 2", "line 3", "line 4"]],
    ["another way, then in the one", "a,b\n1,2\r\n3,4\n5,6", ["line 2", "line 3", "line 4"]],
    ["the way of old Macs", "a,b\r1,2\r3,4\r5,6\r", ["line 2", "line 3", "line 4"]],
    [
      "one way, with empty rows as spreadsheets save them",
      "a,b\n1,2\n,\n3,4\n,,,\n5,6\n,\n",
      ["line 2", "line 4", "line 6"],
    ],
    [
      "one way below the delimiter that Excel writes",
      "sep=;\r\na;b\r\n1;2\r\n3;4\r\n5;6\r\n",
      ["line 3", "line 4", "line 5"],
    ],
  ])("may end its lines in %s", async (_, content, places) => {
    const { source, records, rows, problems } = await readAll(content);
    expect([source.columns, problems]).toEqual([["a", "b"], []]);
    expect(rows.flat()).toEqual(["1", "2", "3", "4", "5", "6"]);
    expect(records.map(({ place }) => place)).toEqual(places);
  });

  it("counts a Windows line end within quotes as one", async () => {
    const { records } = await readAll('a,b\r\n1,"x\r\ny\r\nz"\r\n2,"p\nq"\r\n3,4\r\n');
    expect(records.map(({ place }) => place)).toEqual(["line 2", "line 5", "line 7"]);
  });

  it("may lack the last cells of a row, but not have more than the header", async () => {
    const { rows, problems } = await readAll("a,b\n1\n1,2,\n1,2,3\n");
    expect(rows).toEqual([
      ["1", ""],
      ["1", "2"],
    ]);
    expect(problems).toEqual([
      { kind: "malformed", place: "line 4", message: "expected 2 cells, as the header has, got 3" },
    ]);
  });

  it.each([
    [",", "a,b;c,d\n"],
    [";", "a;b;c\n1,5;2,5;3\n"],
    ["\t", '"a,b,c"\tb\n'],
    ["|", "\n\na|b|c,d\n"],
    [",", "one column"],
  ])("has the delimiter %j of its header", (delimiter, head) => {
    expect(detectDelimiter(head)).toBe(delimiter);
  });

  it("takes the apostrophe off that keeps spreadsheets from running a cell", async () => {
    const cells = ["=1+1", "-5", "+1", "@x", "'=", "plain", "it's", "'quoted'"];
    const text = stringify([["cell"], ...cells.map((cell) => [cell])], { bom: true, escape_formulas: true });
    expect((await readAll(text)).rows.flat()).toEqual(cells.map((cell) => (cell === "'=" ? "=" : cell)));
    expect(unescapeFormula("'")).toBe("'");
  });

  it("names the columns that the header leaves empty", async () => {
    expect((await readAll(",url,answer\n0,x,y\n")).source.columns).toEqual(["_", "url", "answer"]);
    expect((await readAll("a,,\n")).source.columns).toEqual(["a", "_2", "_3"]);
  });

  it("is read as GBK where it is not UTF-8, and says so", async () => {
    const { source, rows } = await readAll(iconv.encode("名称,热量\n苹果,52大卡\n", "gbk"));
    expect(source.columns).toEqual(["名称", "热量"]);
    expect(rows).toEqual([["苹果", "52大卡"]]);
    expect(source.notices[0]).toMatch(/read as GB18030; --encoding/);
    const latin = await readAll(Buffer.from("a\ncaf\xe9,", "latin1"), { encoding: "windows-1252" });
    expect(latin.rows).toEqual([["café"]]);
    const utf16 = await readAll(Buffer.from("\uFEFFa,b\n1,é", "utf16le"));
    expect(utf16.rows).toEqual([["1", "é"]]);
  });

  it.each([
    ["an empty file", "", /expected a header/],
    ["two columns of one name", "a,b,a\n", /two columns called "a"/],
    ["a workbook", Buffer.from("PK\x03\x04xxxx"), /Excel workbook/],
    ["bytes", Buffer.from([65, 0, 1, 2]), /neither UTF-8 nor GBK/],
    ["a quote that is never closed", 'a,b\n1,2\n3,"4\n5,6\n', /after line 2: a " is opened/],
  ])("is refused where it is %s", async (_, content, message) => {
    const reading = readAll(content);
    await expect(reading).rejects.toBeInstanceOf(VlmR1Error);
    await expect(reading).rejects.toMatchObject({ code: "ERR_DATA", message: expect.stringMatching(message) });
  });

  it("that is not there is named", async () => {
    await expect(openCsv(join(folder, "none.csv"))).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });

  it("comes back as it was written, whatever cells hold", async () => {
    const cell = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !/^'[=+\-@\t\r＝＋－＠]/.test(text));
    const cells = fc.array(
      fc.tuple(
        cell,
        cell,
        cell.map((text) => `x${text}`),
      ),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(cells, fc.constantFrom(",", ";", "\t"), async (rows, delimiter) => {
        const text = stringify([["a", "b", "c"], ...rows], { bom: true, delimiter });
        expect((await readAll(text)).rows).toEqual(rows);
      }),
      { numRuns: 60 },
    );
  });

  it("of any text gives rows or an error of ours", async () => {
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc
        .array(fc.constantFrom('"', ",", "\n", "\r", "a", "é", ";", "'", "=", " "), { maxLength: 40 })
        .map((x) => x.join("")),
    );
    const bytes = fc.oneof(
      text,
      fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        const error = await readAll(content).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error !== undefined) expect(error).toBeInstanceOf(VlmR1Error);
      }),
      { numRuns: 200 },
    );
  });
});
