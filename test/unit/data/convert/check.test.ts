import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkData, unusableRows } from "../../../../lib/data/convert/index.js";
import { quantiles } from "../../../../lib/data/convert/quantiles.js";
import { loadConversations } from "../../../../lib/data/datasets/index.js";
import { Engine } from "../../../../lib/engine/index.js";
import { Processor } from "../../../../lib/processing/index.js";
import { fakeAddon } from "../../../support/fake-addon.js";
import { goldenPath } from "../../../support/golden.js";
import { writePicture } from "../../../support/pictures.js";
import { temporaryFolder } from "../../../support/temporary.js";

const root = temporaryFolder();
await writePicture(join(root, "a.png"), 1, 60);
await writePicture(join(root, "copy.png"), 1, 60);
await writePicture(join(root, "b.png"), 2, 60);
writeFileSync(join(root, "page.png"), "<html>");
const whole = readFileSync(join(root, "b.png"));
writeFileSync(join(root, "cut.png"), whole.subarray(0, whole.length - 20));

const turns = (question: string, answer?: string) => [
  { from: "human", value: question },
  ...(answer === undefined ? [] : [{ from: "gpt", value: answer }]),
];

function write(rows: unknown[]): string {
  const path = join(mkdtempSync(join(root, "t-")), "rows.json");
  writeFileSync(path, JSON.stringify(rows));
  return path;
}

const check = (rows: unknown[], options = {}) => checkData({ files: write(rows), imageFolders: [root], ...options });

async function processorOf(name: string) {
  return Processor.load(goldenPath(name), await Engine.open({ addon: fakeAddon() }));
}

describe("a check", () => {
  it("names what training would leave out", async () => {
    const result = await check([
      { id: "good", image: "a.png", conversations: turns("?", "!") },
      { id: "page", image: "page.png", conversations: turns("?", "!") },
      { id: "none", image: "none.png", conversations: turns("?", "!") },
      { id: "shape", conversations: 3 },
    ]);
    expect(result.problems.map(({ id }) => id)).toEqual(["none", "shape"]);
    expect(result.rows.map(({ row, error }) => [row.id, error])).toEqual([
      ["good", undefined],
      ["page", expect.stringContaining("page.png: it is a web page")],
    ]);
    expect(unusableRows(result)).toBe(3);
    expect(result.rows[0]?.pictures).toEqual([{ width: 60, height: 60 }]);
    expect(result.tokens).toBeUndefined();
  });

  it("finds damaged pictures on request, rows that are the same, without an answer, and of one id", async () => {
    const rows = [
      { id: "x", image: "a.png", conversations: turns("?", "!") },
      { id: "x", image: "copy.png", conversations: turns("?", "!") },
      { id: "other", image: "a.png", conversations: turns("?", "no") },
      { id: "open", image: "a.png", conversations: turns("?") },
      { id: "cut", image: "cut.png", conversations: turns("?", "!") },
    ];
    const result = await check(rows);
    expect(result.duplicates).toEqual([{ id: "x#2", of: "x" }]);
    expect(result.renamed).toEqual([{ from: "x", to: "x#2" }]);
    expect(result.withoutAnswer).toEqual(["open"]);
    expect(unusableRows(result)).toBe(0);
    const decoded = await check(rows, { checkPictures: true });
    expect(decoded.rows.at(-1)?.error).toMatch(/cut\.png: damaged/);
  });

  it("finds pictures of other data by their content", async () => {
    const against = write([
      { id: "seen", image: join(root, "copy.png"), conversations: turns("what?", "!") },
      { id: "page", image: join(root, "page.png"), conversations: turns("what?", "!") },
    ]);
    const rows = ["a", "b"].map((id) => ({ id, image: `${id}.png`, conversations: turns("?", "!") }));
    expect((await check(rows, { against })).leaks).toEqual([{ id: "a", with: "seen" }]);
  });

  it.each(["qwen2_5_vl_a", "qwen2_vl_b"])("counts the tokens that %s's prompts have", async (name) => {
    const processor = await processorOf(name);
    const files = goldenPath("conversations.json");
    const result = await checkData({ files, processor });
    const { rows } = await loadConversations(files);
    expect(result.rows).toHaveLength(rows.length);
    for (const [index, row] of rows.entries()) {
      const prompt = await processor.prompt(row.messages, row.images);
      const checked = result.rows[index];
      expect(checked?.error).toBeUndefined();
      expect(checked?.tokens).toEqual({
        prompt: prompt.tokens.length,
        pictures: prompt.pictures.reduce((sum, { tokens }) => sum + tokens, 0),
        answer: row.solution === "" ? 0 : processor.answerTokens(row.solution).length,
      });
      expect(checked?.pictures).toEqual(prompt.pictures.map(({ image, ...picture }) => picture));
    }
    const longest = Math.max(...result.rows.map(({ tokens }) => tokens?.prompt ?? 0));
    expect(result.tokens?.prompt.max).toBe(longest);
    const tight = await checkData({ files, processor, maxPromptTokens: longest - 1 });
    expect(tight.rows.filter(({ error }) => error?.includes(`has ${longest} tokens`)).length).toBeGreaterThan(0);
  });

  it("ends when it is aborted", async () => {
    const rows = [{ image: "a.png", conversations: turns("?", "!") }];
    await expect(check(rows, { signal: AbortSignal.abort("stop") })).rejects.toBe("stop");
  });
});

describe("quantiles", () => {
  it("are values that there are", () => {
    expect(quantiles([])).toEqual({ min: 0, median: 0, p95: 0, max: 0 });
    expect(quantiles(Array.from({ length: 100 }, (_, i) => 100 - i))).toEqual({
      min: 1,
      median: 50,
      p95: 95,
      max: 100,
    });
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const { min, median, p95, max } = quantiles(values);
        for (const value of [min, median, p95, max]) expect(values).toContain(value);
        expect(values.filter((value) => value <= median).length * 2).toBeGreaterThanOrEqual(values.length);
        expect(values.filter((value) => value < median).length * 2).toBeLessThan(values.length);
        expect(values.filter((value) => value <= p95).length).toBeGreaterThanOrEqual(values.length * 0.95);
        expect([min, max]).toEqual([Math.min(...values), Math.max(...values)]);
      }),
    );
  });
});
