import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { ByteWriter, parquetWrite } from "hyparquet-writer";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type ConvertOptions, convertData } from "../../../../lib/data/convert/index.js";
import { loadConversations } from "../../../../lib/data/datasets/index.js";
import { VlmR1Error } from "../../../../lib/errors/index.js";
import { goldenPath } from "../../../support/golden.js";
import { picture, writePicture } from "../../../support/pictures.js";
import { temporaryFolder } from "../../../support/temporary.js";

const root = temporaryFolder();
const newFolder = () => mkdtempSync(join(root, "t-"));
const human = (value: string) => ({ from: "human", value });
const gpt = (value: string) => ({ from: "gpt", value });

async function convert(input: string, options: Partial<ConvertOptions> = {}) {
  const folder = newFolder();
  const { report, paths } = await convertData({ input, output: join(folder, "out.json"), ...options });
  return { folder, report, rows: (await loadConversations(paths.train)).rows };
}

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

const imageStruct = (name: string, repetition: "OPTIONAL" | "REQUIRED" = "OPTIONAL") => [
  { name, repetition_type: repetition, num_children: 2 },
  { name: "bytes", type: "BYTE_ARRAY" as const, repetition_type: "OPTIONAL" as const },
  { name: "path", type: "BYTE_ARRAY" as const, converted_type: "UTF8" as const, repetition_type: "OPTIONAL" as const },
];

function writeParquet(path: string, options: Omit<Parameters<typeof parquetWrite>[0], "writer">): string {
  const writer = new ByteWriter();
  parquetWrite({ ...options, writer });
  writeFileSync(path, new Uint8Array(writer.getBuffer()));
  return path;
}

/** A Zstandard frame of one block that is stored as it is: Node 20 has no compressor of it. */
function storedZstd(bytes: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(12 + bytes.length);
  frame.writeUInt32LE(0xfd2fb528, 0);
  // One segment, its size in four bytes.
  frame.writeUInt8(0b1010_0000, 4);
  frame.writeUInt32LE(bytes.length, 5);
  // The last block, stored.
  frame.writeUIntLE((bytes.length << 3) | 1, 9, 3);
  frame.set(bytes, 12);
  return frame;
}

describe("Parquet", () => {
  it("with Hugging Face's pictures and names of classes", async () => {
    const folder = newFolder();
    const red = await picture(250);
    const jpeg = await sharp(await picture(20))
      .jpeg()
      .toBuffer();
    const features = { image: { _type: "Image" }, label: { _type: "ClassLabel", names: ["apple pie", "pizza"] } };
    const path = writeParquet(join(folder, "train.parquet"), {
      schema: [
        { name: "root", num_children: 2 },
        ...imageStruct("image"),
        { name: "label", type: "INT64", repetition_type: "OPTIONAL" },
      ],
      columnData: [
        {
          name: "image",
          data: [red, jpeg, red, Buffer.from("no picture"), null].map((bytes) => bytes && { bytes, path: "x.bin" }),
        },
        { name: "label", data: [0n, 1n, 0n, 1n, 1n] },
      ],
      rowGroupSize: 2,
      kvMetadata: [{ key: "huggingface", value: JSON.stringify({ info: { features } }) }],
    });
    const { rows, report, folder: out } = await convert(path);
    expect(rows.map(({ solution }) => solution)).toEqual(["<answer>apple pie</answer>", "<answer>pizza</answer>"]);
    expect(
      readdirSync(join(out, "images"))
        .map((name) => name.replace(/.*\./, ""))
        .sort(),
    ).toEqual(["jpg", "png"]);
    expect(rows[0]?.images[0]).toMatch(/images\/[0-9a-f]{24}\.png$/);
    expect(report.problems.map(({ kind, place }) => [kind, place])).toEqual([
      ["duplicate", "row 3"],
      ["bad_picture", "row 4"],
      ["missing_picture", "row 5"],
    ]);
    expect(report.records).toBe(5);
  });

  it("with lists of pictures and questions, as EasyR1 has them", async () => {
    const one = await picture(1);
    const two = await picture(2);
    const path = writeParquet(join(newFolder(), "easy.parquet"), {
      schema: [
        { name: "root", num_children: 3 },
        { name: "images", converted_type: "LIST", repetition_type: "OPTIONAL", num_children: 1 },
        { name: "list", repetition_type: "REPEATED", num_children: 1 },
        ...imageStruct("element"),
        { name: "problem", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
        { name: "answer", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
      ],
      columnData: [
        {
          name: "images",
          data: [
            [{ bytes: one, path: null }],
            [
              { bytes: one, path: null },
              { bytes: two, path: null },
            ],
          ],
        },
        { name: "problem", data: ["<image>Find x.", "<image>Compare with <image>."] },
        { name: "answer", data: ["3", "equal"] },
      ],
    });
    const { rows } = await convert(path, { keep: ["answer"] });
    expect(rows.map(({ images }) => images.length)).toEqual([1, 2]);
    expect(rows[1]?.raw).toMatchObject({
      answer: "equal",
      conversations: [human("<image>Compare with <image>."), gpt("<answer>equal</answer>")],
    });
  });

  it("with conversations, which keep lists and maps too", async () => {
    const text = (name: string) => ({
      ...{ name, type: "BYTE_ARRAY" as const, converted_type: "UTF8" as const },
      repetition_type: "OPTIONAL" as const,
    });
    const list = (name: string, ...element: Parameters<typeof parquetWrite>[0]["schema"] & object) => [
      { name, converted_type: "LIST" as const, repetition_type: "OPTIONAL" as const, num_children: 1 },
      { name: "list", repetition_type: "REPEATED" as const, num_children: 1 },
      ...element,
    ];
    const turns = (n: number) => [human(`<image>\nq${n}`), gpt(`a${n}`)];
    const path = writeParquet(join(newFolder(), "llava.parquet"), {
      schema: [
        { name: "root", num_children: 4 },
        text("id"),
        ...imageStruct("image"),
        ...list(
          "conversations",
          { name: "element", repetition_type: "OPTIONAL", num_children: 2 },
          text("from"),
          text("value"),
        ),
        ...list("tags", text("element")),
      ],
      columnData: [
        { name: "id", data: ["a", "b"] },
        { name: "image", data: await Promise.all([5, 6].map(async (n) => ({ bytes: await picture(n), path: null }))) },
        { name: "conversations", data: [turns(1), turns(2)] },
        { name: "tags", data: [["u", "v"], []] },
      ],
    });
    const { rows } = await convert(path);
    expect(rows.map(({ id, solution, raw }) => [id, solution, raw.tags])).toEqual([
      ["a", "a1", ["u", "v"]],
      ["b", "a2", []],
    ]);
    expect((await convert(path, { keep: [] })).rows[0]?.raw).not.toHaveProperty("tags");
  });

  it("with labels that are kept back: their rows have no answer", async () => {
    const features = { label: { _type: "ClassLabel", names: ["apple pie"] } };
    const path = writeParquet(join(newFolder(), "test.parquet"), {
      columnData: [
        { name: "image", data: await Promise.all([5, 6, 7].map((n) => picture(n))), type: "BYTE_ARRAY" },
        { name: "label", data: [0n, -1n, 9n], type: "INT64" },
      ],
      kvMetadata: [{ key: "huggingface", value: JSON.stringify({ info: { features } }) }],
    });
    const { rows, report } = await convert(path);
    expect(rows.map(({ solution }) => solution)).toEqual(["<answer>apple pie</answer>"]);
    expect(report.counts).toEqual({ missing_field: 2 });
  });

  it("in a folder is read file by file, and bytes by themselves are pictures", async () => {
    const folder = newFolder();
    for (const index of [0, 1]) {
      writeParquet(join(folder, `train-0000${index}.parquet`), {
        columnData: [
          { name: "image", data: [await picture(index + 30)], type: "BYTE_ARRAY" },
          { name: "caption", data: [`thing ${index}`], type: "STRING" },
        ],
        codec: "UNCOMPRESSED",
      });
    }
    const { rows, report } = await convert(folder);
    expect(rows.map(({ solution }) => solution)).toEqual(["<answer>thing 0</answer>", "<answer>thing 1</answer>"]);
    expect(report.sources).toHaveLength(2);
  });

  it.each(["GZIP", "ZSTD"] as const)("compressed with %s is read", async (codec) => {
    const compress = codec === "GZIP" ? gzipSync : storedZstd;
    const path = writeParquet(join(newFolder(), "x.parquet"), {
      columnData: [
        { name: "question", data: ["2 + 2?", "3 + 3?"], type: "STRING" },
        { name: "answer", data: ["4", "6"], type: "STRING" },
      ],
      codec,
      compressors: { [codec]: (bytes: Uint8Array) => new Uint8Array(compress(bytes)) },
    });
    const { rows } = await convert(path);
    expect(rows.map(({ solution }) => solution)).toEqual(["<answer>4</answer>", "<answer>6</answer>"]);
  });

  it("in a compression that is not known is refused, with what to do", async () => {
    const path = writeParquet(join(newFolder(), "x.parquet"), {
      columnData: [
        { name: "answer", data: ["4"], type: "STRING" },
        { name: "question", data: ["?"], type: "STRING" },
      ],
      codec: "LZO",
      compressors: { LZO: (bytes) => bytes },
    });
    await expect(convert(path)).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/row group 1 cannot be read: .*LZO/),
      hint: expect.stringContaining("zstd or snappy"),
    });
  });

  it("that is damaged is refused", async () => {
    const folder = newFolder();
    writeFileSync(join(folder, "x.parquet"), "PAR1 and nothing more");
    await expect(convert(join(folder, "x.parquet"))).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringContaining("not a Parquet file"),
    });
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
