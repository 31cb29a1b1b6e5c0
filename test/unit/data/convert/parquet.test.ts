import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { ByteWriter, parquetWrite } from "hyparquet-writer";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { convertAndLoad, gpt, human } from "../../../support/converted.js";
import { picture } from "../../../support/pictures.js";
import { temporaryFolder } from "../../../support/temporary.js";

const root = temporaryFolder();
const newFolder = () => mkdtempSync(join(root, "t-"));
const convert = (input: string, options = {}) => convertAndLoad(input, newFolder(), options);

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

  it("in which columns are damaged, and where one of them lies, is refused, and no error is left unheard", async () => {
    const path = writeParquet(join(newFolder(), "x.parquet"), {
      schema: [
        { name: "root", num_children: 3 },
        ...imageStruct("image"),
        { name: "question", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
        { name: "answer", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
      ],
      columnData: [
        { name: "image", data: [{ bytes: await picture(1), path: "x" }] },
        { name: "question", data: ["?"] },
        { name: "answer", data: ["4"] },
      ],
    });
    const bytes = readFileSync(path);
    bytes.fill(0xff, 4, bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8));
    // The name of a part: it is looked for when the columns before it are being read.
    bytes.write("pXth", bytes.lastIndexOf("path"));
    writeFileSync(path, bytes);
    const unheard: unknown[] = [];
    const hear = (reason: unknown) => void unheard.push(reason);
    process.on("unhandledRejection", hear);
    await expect(convert(path)).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringContaining("row group 1 cannot be read"),
    });
    // The other columns are still being read.
    await sleep(200);
    process.off("unhandledRejection", hear);
    expect(unheard).toEqual([]);
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
