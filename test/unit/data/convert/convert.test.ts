import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "csv-stringify/sync";
import { describe, expect, it } from "vitest";
import { type ConvertOptions, convertData } from "../../../../lib/data/convert/index.js";
import { loadConversations } from "../../../../lib/data/datasets/index.js";
import { writePicture } from "../../../support/pictures.js";
import { temporaryFolder } from "../../../support/temporary.js";

const root = temporaryFolder();
for (const index of Array.from({ length: 12 }).keys())
  await writePicture(join(root, `images/p${index}.png`), index * 10);
// The same bytes under another name.
await writePicture(join(root, "images/copy.png"), 0);
writeFileSync(join(root, "images/page.png"), "<!doctype html><p>404");
const whole = readFileSync(join(root, "images/p1.png"));
writeFileSync(join(root, "images/cut.png"), whole.subarray(0, whole.length - 20));

/** Writes a table beside the pictures and converts it into a folder of its own. */
async function convert(table: string | string[][], options: Partial<ConvertOptions> = {}, name = "table.csv") {
  const folder = mkdtempSync(join(root, "t-"));
  const input = join(folder, name);
  writeFileSync(input, typeof table === "string" ? table : stringify(table, { bom: true, escape_formulas: true }));
  const output = join(folder, "out");
  mkdirSync(output);
  const { report, paths } = await convertData({ input, output, imageFolders: [root], ...options });
  const load = async (path: string) => (await loadConversations(path)).rows;
  return { input, report, paths, folder, text: readFileSync(paths.train, "utf8"), rows: await load(paths.train), load };
}

const foods = (count: number) => [
  ["name", "heat", "image", "image_path"],
  ...Array.from({ length: count }, (_, i) => [
    `食物${i}`,
    `${i + 50} 大卡(每100克)`,
    "http://x/1.jpg",
    `images/p${i}.png`,
  ]),
];
const questionOf = (row: { raw: Readonly<Record<string, unknown>> }) =>
  (row.raw.conversations as { value: string }[])[0]?.value;

describe("a crawler's table", () => {
  it("becomes conversations that training reads", async () => {
    const { rows, report, text } = await convert(foods(3));
    expect(rows.map(({ id, solution }) => [id, solution])).toEqual([
      ["images/p0", "<answer>食物0 50千卡</answer>"],
      ["images/p1", "<answer>食物1 51千卡</answer>"],
      ["images/p2", "<answer>食物2 52千卡</answer>"],
    ]);
    expect(rows[0]?.images).toEqual([join(root, "images/p0.png")]);
    expect(rows[0]?.messages[0]?.content).toEqual([
      { type: "image" },
      { type: "text", text: expect.stringMatching(/千卡/) },
    ]);
    expect(JSON.parse(text)[0].image).toBe("../../images/p0.png");
    expect(report).toMatchObject({ records: 3, rows: 3, problems: [], statistics: { pictures: 3 } });
  });

  it("may be asked about in English, several times, with thoughts", async () => {
    const options = { questions: "food-en", questionsPerRow: 2, think: "It looks like {name}." } as const;
    const { rows } = await convert(foods(2), options);
    expect(rows).toHaveLength(4);
    expect(rows.every(({ id }) => /^images\/p\d#q\d$/.test(id))).toBe(true);
    expect(rows[0]?.solution).toBe("<think>It looks like 食物0.</think><answer>食物0 50 kcal</answer>");
    expect((await convert(foods(2), { questions: "food-en", questionsPerRow: "all" })).rows).toHaveLength(12);
  });

  it("leaves out rows that lack something, and says which and why", async () => {
    const header = ["name", "heat", "image", "image_path"];
    const table = [
      header,
      ["a", "1 大卡", "", "images/p0.png"],
      ["b", "N/A", "", "images/p1.png"],
      ["c", "1 大卡", "", "images/none.png"],
      ["d", "1 大卡", "", "images/page.png"],
      ["e", "1 大卡", "", ""],
      ["f", "1 大卡", "", "http://x/1.png"],
      ["a", "1 大卡", "", "images/copy.png"],
      ["", "1 大卡", "", "images/p2.png"],
    ];
    const { report, rows, paths } = await convert(table);
    expect(rows).toHaveLength(1);
    expect(report.counts).toEqual({ missing_field: 2, missing_picture: 3, bad_picture: 1, duplicate: 1 });
    expect(report.problems.map(({ place, message }) => `${place}: ${message}`)).toEqual([
      'line 3: heat: is "N/A"',
      expect.stringMatching(/^line 4: cannot find the picture .*none\.png/),
      expect.stringMatching(/^line 5: .*page\.png: it is a web page/),
      "line 6: image_path: no picture is named",
      "line 7: expected a picture's path, got the address http://x/1.png",
      expect.stringMatching(/^line 8: the same pictures, question and answer as .*table\.csv, line 2/),
      "line 9: name: is empty",
    ]);
    expect(JSON.parse(readFileSync(paths.report, "utf8"))).toEqual(JSON.parse(JSON.stringify(report)));
  });

  it("has its pictures decoded whole on request", async () => {
    const table = [...foods(1), ["cut", "3 大卡", "", "images/cut.png"]];
    expect((await convert(table)).report.counts).toEqual({});
    const { report } = await convert(table, { checkPictures: true });
    expect(report.counts).toEqual({ bad_picture: 1 });
    expect(report.problems[0]?.message).toMatch(/cut\.png: damaged or truncated/);
  });
});

describe("other tables", () => {
  it("are read by the columns that they usually have", async () => {
    const recipes = "_,url,answer,image_url,image_path\n0,http://x,宫保鸡丁,http://x/1.jpg,images/p0.png\n";
    const { rows } = await convert(recipes, { keep: ["url"] });
    expect(rows[0]?.solution).toBe("<answer>宫保鸡丁</answer>");
    expect(questionOf(rows[0]!)).toMatch(/^<image>.*菜/);
    expect(rows[0]?.raw.url).toBe("http://x");
    const own =
      'id,question,image,answer\nq1,How many?,images/p0.png,3\nq2,"<image> and\n<image>?","[""images/p1.png"",""images/p2.png""]",4\n';
    const asked = await convert(own);
    expect(asked.rows.map(({ id }) => id)).toEqual(["q1", "q2"]);
    expect(asked.rows.map(questionOf)).toEqual(["<image>How many?", "<image> and\n<image>?"]);
    expect(asked.rows[1]?.images).toHaveLength(2);
  });

  it("are read by the columns that are named", async () => {
    const table = "photo;back;label;key\nimages/p0.png;images/p1.png;cat;7\n";
    const columns = ["image=photo,back", "answer=label", "id=key"];
    const { rows } = await convert(table, { columns, wrap: "none", answerTemplate: "a {answer|upper}" });
    expect(rows[0]).toMatchObject({
      id: "7",
      solution: "a CAT",
      images: [expect.stringMatching(/p0/), expect.stringMatching(/p1/)],
    });
  });

  it("may have no pictures", async () => {
    const { rows } = await convert("question,answer\n2 + 2?,4\n3 + 3?,<answer>6</answer>\n");
    expect(rows.map(({ solution }) => solution)).toEqual(["<answer>4</answer>", "<answer>6</answer>"]);
    expect(rows[0]?.messages[0]?.content).toBe("2 + 2?");
  });

  it.each([
    ["an unknown column", { columns: ["image=foto"] }, /no column "foto" for image/, /photo, tag/],
    ["an unknown role", { columns: ["picture=photo"] }, /expected role=column/, /image, question/],
    ["no answer", {}, /nothing says what the answers/, /--columns answer=/],
    ["an unknown field", { answerTemplate: "{x}" }, /no field \{x\}/, /\{photo\}, \{tag\}/],
    ["an unknown column to keep", { answerTemplate: "x", keep: ["y"] }, /no column "y"/, /photo/],
    ["a column that is there anyway", { answerTemplate: "x", keep: ["image"] }, /field of every row/, /^$/],
    [
      "an unknown column to split by",
      { answerTemplate: "x", splitColumn: "y" },
      /split_column: .* no column "y"/,
      /photo/,
    ],
    ["a stratum without a split", { stratify: "tag" }, /test_split is not given/, /^$/],
    ["too many questions", { answerTemplate: "x", questionsPerRow: 7 }, /at most 6/, /^$/],
    ["an unknown encoding", { encoding: "martian" }, /"martian" is not known/, /gbk/],
    ["the name of the report", { output: "convert-report.json" }, /is what the report is called/, /^$/],
    ["an output of another kind", { output: "x.csv" }, /ending in .json or .jsonl/, /^$/],
  ])("are refused with %s", async (_, options, message, hint) => {
    const error = await convert("photo,tag\nimages/p0.png,cat\n", options).then(
      () => undefined,
      (reason: { code: string; message: string; hint?: string }) => reason,
    );
    expect(error).toMatchObject({ code: "ERR_CONFIG", message: expect.stringMatching(message) });
    expect(error?.hint ?? "").toMatch(hint);
  });

  it("with options of another kind are refused", async () => {
    const table = "question,answer\na,b\n";
    await expect(convert(table, { questionsPerRow: 0 })).rejects.toThrow(/questions_per_row/);
    await expect(convert(table, { seed: 0.5 })).rejects.toThrow(/seed/);
    await expect(convert(table, { qestions: "x" } as never)).rejects.toMatchObject({
      hint: 'Did you mean "questions"?',
    });
  });

  it("without a single good row are refused, with the reasons, and all of them in the report", async () => {
    const folder = mkdtempSync(join(root, "none-"));
    const input = join(folder, "none.csv");
    writeFileSync(input, `image,answer\n${"none.png,x\n".repeat(7)}`);
    const report = join(folder, "convert-report.json");
    await expect(convertData({ input, output: join(folder, "data.json") })).rejects.toThrow(`2 more, all in ${report}`);
    expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({
      rows: 0,
      written: [],
      counts: { missing_picture: 7 },
    });
    const loading = convert("image,answer\nnone.png,x\n");
    await expect(loading).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/none of 1 rows can be used\n.*none\.png/),
      hint: expect.stringContaining("--image-folders"),
    });
    await expect(convert("image,answer\n")).rejects.toMatchObject({ code: "ERR_DATA" });
  });
});

describe("what is written", () => {
  const split = { testSplit: 0.25, seed: 3 };

  it("is the same bytes for the same seed, and depends on it", async () => {
    const folder = mkdtempSync(join(root, "again-"));
    const input = join(folder, "foods.csv");
    writeFileSync(input, stringify(foods(12)));
    const run = async (seed: number) => {
      const output = join(folder, "data");
      await convertData({ input, output, imageFolders: [root], ...split, seed, overwriteOutput: true });
      return ["train.json", "test.json", "convert-report.json"].map((name) => readFileSync(join(output, name), "utf8"));
    };
    const first = await run(3);
    expect(await run(3)).toEqual(first);
    expect((await run(4))[0]).not.toBe(first[0]);
  });

  it("asks about a row the same question whatever other rows there are", async () => {
    const few = await convert(foods(3));
    const many = await convert(foods(12));
    expect(many.rows.slice(0, 3).map(questionOf)).toEqual(few.rows.map(questionOf));
    expect(new Set(many.rows.map(questionOf)).size).toBeGreaterThan(2);
  });

  it("keeps equal pictures on one side, by content", async () => {
    const table = [...foods(8), ["other", "9 大卡", "", "images/copy.png"]];
    for (const seed of [0, 1, 2, 3]) {
      const { rows, paths, load } = await convert(table, { testSplit: 0.3, seed });
      const test = await load(paths.test ?? "");
      expect(rows.length + test.length).toBe(9);
      const sides = [rows, test].map((side) => side.filter(({ id }) => /p0|copy/.test(id)).length);
      expect([...sides].sort()).toEqual([0, 2]);
    }
  });

  it("is split by a column, without what the test set shows", async () => {
    const rows = [
      "image,answer,set",
      "images/p0.png,a,train",
      "images/p1.png,b,test",
      "images/copy.png,b,test",
      "images/p2.png,c,train",
    ];
    const done = await convert(rows.join("\n"), { splitColumn: "set" });
    expect(done.rows.map(({ id }) => id)).toEqual(["images/p2"]);
    expect((await done.load(done.paths.test ?? "")).map(({ id }) => id)).toEqual(["images/p1", "images/copy"]);
    expect(done.report.counts).toEqual({ leak: 1 });
    expect(done.report.problems[0]).toMatchObject({ kind: "leak", place: "line 2", id: "images/p0" });
  });

  it("keeps groups on one side", async () => {
    const rows = Array.from({ length: 12 }, (_, i) => `images/p${i}.png,${i},${i % 4}`);
    const done = await convert(["image,answer,dish", ...rows].join("\n"), {
      testSplit: 0.25,
      group: "dish",
      keep: ["dish"],
    });
    const test = await done.load(done.paths.test ?? "");
    expect(new Set(test.map(({ raw }) => raw.dish)).size).toBe(1);
    expect(test).toHaveLength(3);
  });

  it("gives every row an id of its own", async () => {
    const { rows } = await convert("id,image,answer\n1,images/p0.png,a\n1,images/p1.png,b\n");
    expect(rows.map(({ id }) => id)).toEqual(["1", "1#2"]);
  });

  it("is JSON lines by the file's ending, with the test set beside", async () => {
    const folder = mkdtempSync(join(root, "lines-"));
    const input = join(folder, "foods.csv");
    writeFileSync(input, stringify(foods(4)));
    const { paths } = await convertData({
      input,
      output: join(folder, "train.jsonl"),
      imageFolders: [root],
      testSplit: 0.25,
    });
    expect(paths.test).toBe(join(folder, "test.jsonl"));
    expect(
      readFileSync(paths.train, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).id),
    ).toHaveLength(3);
  });

  it("replaces nothing unless told so, least of all its input", async () => {
    const folder = mkdtempSync(join(root, "there-"));
    const input = join(folder, "in.json");
    writeFileSync(input, JSON.stringify([{ image: "images/p0.png", answer: "x" }]));
    writeFileSync(join(folder, "data.json"), "mine");
    const options = { input, imageFolders: [root] };
    await expect(convertData({ ...options, output: folder })).rejects.toMatchObject({ code: "ERR_STATE" });
    expect(readFileSync(join(folder, "data.json"), "utf8")).toBe("mine");
    await expect(convertData({ ...options, output: input, overwriteOutput: true })).rejects.toThrow(
      /is the input itself/,
    );
    await convertData({ ...options, output: folder, overwriteOutput: true });
    expect((await loadConversations(join(folder, "data.json"))).rows).toHaveLength(1);
  });

  it("goes into a folder whatever that is called", async () => {
    const folder = mkdtempSync(join(root, "v1."));
    const input = join(folder, "in.json");
    writeFileSync(input, JSON.stringify([{ image: "images/p0.png", answer: "x" }]));
    const options = { input, imageFolders: [root] };
    expect((await convertData({ ...options, output: folder })).paths.train).toBe(join(folder, "data.json"));
    const { paths } = await convertData({ ...options, output: join(folder, "v2.1/") });
    expect(paths.train).toBe(join(folder, "v2.1", "data.json"));
  });

  it("is nothing where it was interrupted", async () => {
    const aborted = AbortSignal.abort("stop");
    await expect(convert(foods(3), { signal: aborted })).rejects.toBe("stop");
    const controller = new AbortController();
    const folder = mkdtempSync(join(root, "stopped-"));
    const input = join(folder, "foods.csv");
    writeFileSync(input, stringify(foods(3)));
    const output = join(folder, "data.json");
    const onRecords = () => controller.abort("later");
    await expect(
      convertData({ input, output, imageFolders: [root], signal: controller.signal, onRecords }),
    ).rejects.toBe("later");
    expect(() => readFileSync(output)).toThrow();
  });
});
