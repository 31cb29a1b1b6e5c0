import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { describeProblem, loadConversations, splitPaths } from "../../../lib/data/datasets/index.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();
mkdirSync(join(folder, "pictures"));
for (const name of ["a.png", "b.png", "pictures/c.png"]) writeFileSync(join(folder, name), "x");
writeFileSync(join(folder, "empty.png"), "");

const human = (value: string) => ({ from: "human", value });
const gpt = (value: string) => ({ from: "gpt", value });
const good = { id: "good", conversations: [human("2 + 2?"), gpt("4")] };

function write(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** The problem of one row beside a good one. */
async function problemOf(row: unknown) {
  const { rows, problems } = await loadConversations(write("one.json", [good, row]));
  expect(rows).toHaveLength(1);
  expect(problems).toHaveLength(1);
  return problems[0]?.message;
}

describe("loadConversations", () => {
  it("reads an array and JSON lines to the same rows", async () => {
    const rows = [
      { id: 1, image: "a.png", conversations: [human("<image>what?"), gpt("an apple")], extra: { kcal: 52 } },
      { image: ["a.png", "b.png"], conversations: [{ from: "system", value: "s" }, human("both?"), gpt("yes")] },
    ];
    const array = await loadConversations(write("x.json", rows));
    const lines = await loadConversations(
      write("x.jsonl", `\uFEFF${rows.map((row) => JSON.stringify(row)).join("\r\n\n")}\n`),
    );
    const [first, second] = array.rows;
    expect(first).toEqual({
      id: "1",
      messages: [{ role: "user", content: [{ type: "image" }, { type: "text", text: "what?" }] }],
      images: [join(folder, "a.png")],
      solution: "an apple",
      raw: rows[0],
    });
    expect(second?.id).toBe("x.json:2");
    expect(second?.messages.map(({ role }) => role)).toEqual(["system", "user"]);
    expect(lines.rows.map(({ id, ...row }) => row)).toEqual(array.rows.map(({ id, ...row }) => row));
    expect(lines.rows[1]?.id).toBe("x.jsonl:3");
    expect([...array.problems, ...lines.problems]).toEqual([]);
  });

  it("gives every row an id of its own over all files", async () => {
    const row = { id: 7, conversations: [human("?"), gpt("!")] };
    const { rows, renamed, files } = await loadConversations([write("one.json", [row]), write("two.json", [row, row])]);
    expect(rows.map(({ id }) => id)).toEqual(["7", "7#2", "7#3"]);
    expect(rows[2]?.raw).toEqual(row);
    expect(renamed.map(({ to }) => to)).toEqual(["7#2", "7#3"]);
    expect(files).toEqual([1, 2]);
  });

  it("takes the last answer as the solution, and earlier ones into the prompt", async () => {
    const turns = [human("a"), gpt("b"), { from: "user", value: "c" }, { from: "assistant", value: "d" }];
    const { rows } = await loadConversations(write("turns.json", [{ conversations: turns }]));
    expect(rows[0]?.messages.map(({ content }) => content)).toEqual(["a", "b", "c"]);
    expect(rows[0]?.solution).toBe("d");
  });

  it("takes the solution field where there is no answer", async () => {
    const { rows } = await loadConversations(write("solution.json", [{ conversations: [human("a")], solution: "42" }]));
    expect(rows[0]?.solution).toBe("42");
  });

  it("reads several files with a picture folder each", async () => {
    const one = write("one.json", [{ image: "a.png", conversations: [human("?"), gpt("!")] }]);
    const two = write("two.jsonl", JSON.stringify({ image: "c.png", conversations: [human("?"), gpt("!")] }));
    const imageFolders = [folder, join(folder, "pictures")];
    const { rows } = await loadConversations(`${one}:${two}`, { imageFolders });
    expect(rows.map(({ images }) => images[0])).toEqual([join(folder, "a.png"), join(folder, "pictures", "c.png")]);
    expect((await loadConversations([one, two, one], { imageFolders: folder })).files).toEqual([1, 0, 1]);
    const joined = await loadConversations([one, two], { imageFolders: imageFolders.join(":") });
    expect(joined.rows).toEqual(rows);
    await expect(loadConversations([one, two, two], { imageFolders })).rejects.toMatchObject({ code: "ERR_CONFIG" });
  });

  it.each([
    ["no conversations", { id: "x" }, "conversations: is missing"],
    ["no turns", { conversations: [] }, "conversations: expected at least one turn"],
    [
      "an unknown speaker",
      { conversations: [{ from: "bot", value: "" }] },
      "conversations[0].from: expected one of human",
    ],
    ["a turn without text", { conversations: [{ from: "human" }] }, "conversations[0].value: is missing"],
    ["a number for a picture", { image: 5, conversations: [human("")] }, "image: expected a path"],
    ["an address for a picture", { image: "https://x.org/a.png", conversations: [human("")] }, "got the address"],
    ["a missing picture", { image: "none.png", conversations: [human("")] }, "none.png"],
    ["an empty picture", { image: "empty.png", conversations: [human("")] }, "empty.png is empty"],
    [
      "too many markers",
      { image: "a.png", conversations: [human("<image><image>")] },
      "2 <image> markers, but 1 pictures",
    ],
    ["only an answer", { conversations: [gpt("x")] }, "must end with a human turn"],
    ["a text", "not an object", "expected object"],
    ["null", null, "expected object"],
  ])("names a row with %s", async (_, row, message) => {
    expect(await problemOf(row)).toContain(message);
  });

  it("names file, line and id of a bad row", async () => {
    const path = write("lines.jsonl", `${JSON.stringify(good)}\n\n{"id": "bad", "conversations": 3}\n{oops\n`);
    const { rows, problems } = await loadConversations(path);
    expect(rows.map(({ id }) => id)).toEqual(["good"]);
    expect(problems.map(describeProblem)).toEqual([
      `${path}, line 3 (id "bad"): conversations: expected a list of turns`,
      expect.stringMatching(/lines\.jsonl, line 4: not valid JSON/),
    ]);
  });

  it("fails where not a single row is good, and shows why", async () => {
    const rows = Array.from({ length: 9 }, (_, index) => ({ id: `r${index}` }));
    const loading = loadConversations(write("bad.json", rows));
    await expect(loading).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/none of 9 rows[\s\S]*"r0"[\s\S]*4 more/),
    });
    await expect(loadConversations(write("empty.json", "[]"))).rejects.toMatchObject({ code: "ERR_DATA" });
    await expect(loadConversations(write("empty.jsonl", "\n"))).rejects.toMatchObject({ code: "ERR_DATA" });
  });

  it("names a file that is missing, or broken, with the line", async () => {
    await expect(loadConversations(join(folder, "none.json"))).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: expect.stringContaining("none.json"),
    });
    const broken = write("broken.json", '[\n{"id": 1},\n{"id": 2} {"id": 3}\n]');
    await expect(loadConversations(broken)).rejects.toThrow(/broken\.json: not valid JSON: .*line 3/);
  });

  it("stops when it is aborted", async () => {
    const path = write("abort.json", [good]);
    await expect(loadConversations(path, { signal: AbortSignal.abort("stop") })).rejects.toBe("stop");
  });
});

it("splits lists of files", () => {
  expect(splitPaths("a.json:b.jsonl")).toEqual(["a.json", "b.jsonl"]);
  expect(splitPaths(["a.json", "/b/c.json:d.json"])).toEqual(["a.json", "/b/c.json", "d.json"]);
});
