import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ConvertOptions, convertData } from "../../../../lib/data/convert/index.js";
import { loadConversations } from "../../../../lib/data/datasets/index.js";
import { VlmR1Error } from "../../../../lib/errors/index.js";
import { convertAndLoad, gpt, human } from "../../../support/converted.js";
import { goldenPath } from "../../../support/golden.js";
import { writePicture } from "../../../support/pictures.js";
import { temporaryFolder } from "../../../support/temporary.js";

const root = temporaryFolder();
const newFolder = () => mkdtempSync(join(root, "t-"));

const convert = (input: string, options: Partial<ConvertOptions> = {}) => convertAndLoad(input, newFolder(), options);

async function convertJson(rows: unknown[], options: Partial<ConvertOptions> = {}, name = "rows.json") {
  const folder = newFolder();
  for (const shade of [1, 2]) await writePicture(join(folder, `p${shade}.png`), shade);
  const path = join(folder, name);
  const lines = rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row)));
  writeFileSync(path, name.endsWith("l") ? lines.join("\n") : `[${lines.join(",")}]`);
  return convert(path, options);
}

describe("conversations", () => {
  it("of LLaVA keep their turns and where their pictures stand", async () => {
    const turns = [human("What is\n<image>?"), gpt("A"), human("And why?"), gpt("B")];
    const { rows, report } = await convertJson([
      { id: "000", image: "p1.png", conversations: turns },
      { id: "text", conversations: [human("2 + 2?"), gpt("4")], source: "sums" },
    ]);
    expect(rows[0]?.raw.conversations).toEqual(turns);
    expect(rows[0]?.solution).toBe("B");
    expect(rows[1]?.raw.source).toBe("sums");
    expect(report.sources[0]?.format).toBe("llava");
  });

  it("of VLM-R1 get their solution as the answer and keep their other fields", async () => {
    const { rows, report } = await convertJson(
      [
        {
          id: 1,
          image: "p1.png",
          conversations: [human("<image>Where?")],
          solution: "<answer>[1,2,3,4]</answer>",
          accu_reward_method: "iou",
        },
        { id: 2, image: ["p1.png", "p2.png"], conversations: [human("<image><image>Same?"), gpt("no")] },
        "{broken",
      ],
      {},
      "rows.jsonl",
    );
    expect(rows.map(({ solution }) => solution)).toEqual(["<answer>[1,2,3,4]</answer>", "no"]);
    expect(rows[0]?.raw.accu_reward_method).toBe("iou");
    expect(report.problems).toMatchObject([{ kind: "malformed", place: "line 3" }]);
  });

  it("may have their answers wrapped", async () => {
    const rows = [{ image: "p1.png", conversations: [human("?"), gpt("no")], why: "It is not." }];
    const done = await convertJson(rows, { wrap: "answer", think: "{why}" });
    expect(done.rows[0]?.solution).toBe("<think>It is not.</think><answer>no</answer>");
    await expect(convertJson(rows, { questions: "generic-en" })).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringContaining("have their own"),
    });
  });

  it("that training could not read are left out, in the loader's words", async () => {
    const { report } = await convertJson([
      { id: "good", conversations: [human("?"), gpt("!")] },
      { id: "many", image: "p1.png", conversations: [human("<image><image>"), gpt("!")] },
      { id: "bot", conversations: [{ from: "bot", value: "?" }] },
      { id: "none", conversations: [] },
      { id: "only", conversations: [gpt("x")] },
      { id: "odd", conversations: [{ from: "human" }] },
      5,
    ]);
    expect(report.problems.map(({ kind, id, message }) => [kind, id, message])).toEqual([
      ["bad_conversation", "many", expect.stringContaining("2 <image> markers, but 1 pictures")],
      ["bad_conversation", "bot", expect.stringContaining("expected one of human")],
      ["bad_conversation", undefined, expect.stringContaining("list of turns")],
      ["bad_conversation", "only", expect.stringContaining("end with a human turn")],
      ["bad_conversation", undefined, expect.stringContaining("conversations[0]")],
      ["malformed", undefined, expect.stringContaining("expected an object")],
    ]);
  });

  it("of the examples come out as they went in", async () => {
    const { rows } = await convert(goldenPath("conversations.json"));
    const before = (await loadConversations(goldenPath("conversations.json"))).rows;
    const content = (list: typeof rows) => list.map(({ raw, ...row }) => row);
    expect(content(rows)).toEqual(content(before));
  });

  it("of any shape are read, left out or refused by an error of ours", async () => {
    const folder = newFolder();
    await writePicture(join(folder, "p.png"), 1);
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom("p.png", "human", "gpt", "?", ["p.png", ["p.png"]]));
    const turn = fc.record({ from: fc.oneof(value, fc.constant("human")), value }, { requiredKeys: [] });
    const row = fc.record(
      {
        id: value,
        image: value,
        images: value,
        conversations: fc.oneof(value, fc.array(turn)),
        solution: value,
        x: value,
      },
      { requiredKeys: [] },
    );
    const good = { image: "p.png", conversations: [human("?"), gpt("!")] };
    let converted = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(row, fc.jsonValue(), fc.constant(good)), { maxLength: 4 }), async (rows) => {
        const input = join(folder, "rows.json");
        writeFileSync(input, JSON.stringify(rows));
        const output = join(folder, "out.json");
        try {
          const { report } = await convertData({ input, output, overwriteOutput: true });
          expect((await loadConversations(output)).rows).toHaveLength(report.rows);
          converted += 1;
          expect(report.rows + report.problems.length).toBe(rows.length);
        } catch (error) {
          expect(error).toBeInstanceOf(VlmR1Error);
        }
      }),
      { numRuns: 150 },
    );
    expect(converted).toBeGreaterThan(0);
  });

  it("that are nested without end are left out", async () => {
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const good = JSON.stringify({ id: "good", conversations: [human("?"), gpt("!")] });
    const { report } = await convertJson([
      good,
      `{"image": ${deep}, "conversations": []}`,
      good.replace("}]}", `}],"x":${deep}}`),
    ]);
    expect(report.problems).toHaveLength(2);
  });

  it("may have one picture or several, row by row", async () => {
    const { rows } = await convertJson([
      { image: "p1.png", conversations: [human("?"), gpt("!")] },
      { images: ["p1.png", "p2.png"], conversations: [human("?"), gpt("!")] },
    ]);
    expect(rows.map(({ images }) => images.length)).toEqual([1, 2]);
  });

  it("also come as rows of columns", async () => {
    const { rows } = await convertJson([{ problem: "How many?", images: ["p1.png"], answer: 3 }]);
    expect(rows[0]).toMatchObject({ solution: "<answer>3</answer>", images: [expect.stringMatching(/p1\.png$/)] });
  });

  it.each([
    ["no rows", "[]", /not a single row is an object; last: there are no rows/],
    ["nothing", " \n", /got an empty file/],
    ["broken JSON", "[{]", /not valid JSON/],
    ["lists", "[1]\n[2]", /not valid JSON/],
    ["numbers", "1\n2", /not a single row is an object; last: line 2/],
  ])("are refused where there is %s", async (_, text, message) => {
    const path = join(newFolder(), "x.jsonl");
    writeFileSync(path, text);
    await expect(convert(path)).rejects.toMatchObject({ code: "ERR_DATA", message: expect.stringMatching(message) });
  });
});

describe("folders", () => {
  it("name the classes of the pictures in them", async () => {
    const folder = newFolder();
    await writePicture(join(folder, "train/apple_pie/1.png"), 1);
    await writePicture(join(folder, "train/apple_pie/2.png"), 2);
    await writePicture(join(folder, "test/pizza/1.PNG"), 3);
    await writePicture(join(folder, "loose.png"), 4);
    mkdirSync(join(folder, ".hidden/x"), { recursive: true });
    writeFileSync(join(folder, "train/notes.txt"), "x");
    const notices: string[] = [];
    const { report, rows } = await convert(folder, {
      splitColumn: "set",
      answerTemplate: "{class|spaces}",
      onNotice: (notice) => notices.push(notice),
    });
    expect(rows.map(({ id, solution }) => [id, solution])).toEqual([
      ["train/apple_pie/1", "<answer>apple pie</answer>"],
      ["train/apple_pie/2", "<answer>apple pie</answer>"],
    ]);
    expect(report.written.map(({ rows: count }) => count)).toEqual([2, 1]);
    expect(report.problems).toMatchObject([{ kind: "missing_field", place: "loose.png" }]);
    expect(notices).toEqual(["1 file is no picture: train/notes.txt"]);
  });

  it("take their names as answers", async () => {
    const folder = newFolder();
    await writePicture(join(folder, "cat/1.png"), 1);
    expect((await convert(folder)).rows[0]?.solution).toBe("<answer>cat</answer>");
    await expect(convert(newFolder())).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/no picture/),
    });
  });
});

describe("a source", () => {
  it("is told by its ending, or refused", async () => {
    const path = join(newFolder(), "table.xyz");
    writeFileSync(path, "question,answer\na,b\n");
    await expect(convert(path)).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/ending does not say/),
    });
    expect((await convert(path, { format: "csv" })).rows).toHaveLength(1);
    await expect(convert(join(newFolder(), "none.csv"))).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });
});
