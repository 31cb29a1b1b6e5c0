import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Row } from "../../../lib/data/datasets/index.js";
import { Engine } from "../../../lib/engine/index.js";
import { Processor } from "../../../lib/processing/index.js";
import { leaveOutOverlong } from "../../../lib/trainer/overlong.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, MODEL, rows, runAll } from "../../support/training.js";

const folder = temporaryFolder();

/** Questions of 0, 1, 2 … letters, every other one with a picture. */
function growing(count: number): Row[] {
  return rows(count).map((row, index) => {
    const text = { type: "text" as const, text: "q".repeat(index) };
    const picture = index % 2 === 1 ? [{ type: "image" as const }] : [];
    const images = picture.map(() => goldenPath(`images/${index % 4 === 1 ? "square.png" : "turned.jpg"}`));
    return { ...row, messages: [{ role: "user", content: [...picture, text] }], images };
  });
}

async function leaveOut(given: readonly Row[], maxPromptLength: number, files = [given.length], promptSuffix = "") {
  const engine = await Engine.open({ addon: fakeAddon() });
  const processor = await Processor.load(MODEL, engine);
  const warnings: string[] = [];
  const progress: number[] = [];
  const options = { maxPromptLength, promptSuffix, onProgress: (fraction: number) => void progress.push(fraction) };
  const fitting = await leaveOutOverlong({ rows: given, files }, processor, options, (message) =>
    warnings.push(message),
  );
  return { ...fitting, warnings, progress, processor };
}

async function promptLengths(processor: Processor, given: readonly Row[]): Promise<number[]> {
  const prompts = await Promise.all(given.map(({ messages, images }) => processor.prompt(messages, images)));
  return prompts.map(({ tokens }) => tokens.length);
}

describe("max_prompt_length", () => {
  test("leaves out the rows whose prompts have more tokens, and says which", async () => {
    const given = growing(12);
    const { processor, ...all } = await leaveOut(given, 100_000);
    expect([all.rows, all.warnings]).toEqual([given, []]);
    const lengths = await promptLengths(processor, given);
    const limit = [...lengths].sort((a, b) => a - b)[5] as number;
    const some = await leaveOut(given, limit, [4, 8]);
    const fits = lengths.map((length) => length <= limit);
    expect(some.rows).toEqual(given.filter((_, row) => fits[row]));
    expect(some.files).toEqual([fits.slice(0, 4), fits.slice(4)].map((part) => part.filter(Boolean).length));
    const out = given.filter((_, row) => !fits[row]).map(({ id }) => id);
    expect(some.warnings).toHaveLength(1);
    expect(some.warnings[0]).toContain(`${out.length} of 12 rows are left out`);
    expect(some.warnings[0]).toContain(
      `(${limit}) tokens, up to ${Math.max(...lengths)}: ${out.slice(0, 5).join(", ")}`,
    );
    expect(some.progress.at(-1)).toBe(1);
  });

  test("counts what is written after every question", async () => {
    const given = rows(1);
    const { processor } = await leaveOut(given, 1000);
    const [length] = (await promptLengths(processor, given)) as [number];
    expect((await leaveOut(given, length)).rows).toEqual(given);
    await expect(leaveOut(given, length, [1], " and why?")).rejects.toMatchObject({ code: "ERR_DATA" });
  });

  test("says what would do where no prompt fits", async () => {
    const given = growing(4);
    const { processor } = await leaveOut(given, 1000);
    const shortest = Math.min(...(await promptLengths(processor, given)));
    await expect(leaveOut(given, shortest - 1)).rejects.toMatchObject({
      code: "ERR_DATA",
      message: `none of the 4 prompts has at most max_prompt_length (${shortest - 1}) tokens; the shortest has ${shortest}`,
      hint: expect.stringContaining(`at least ${shortest}`),
    });
  });

  test("leaves a row that cannot be measured to the step that meets it", async () => {
    const [good, bad] = growing(2) as [Row, Row];
    const gone = { ...bad, images: ["/gone.png"] };
    const fitting = await leaveOut([good, gone], 1000);
    expect(fitting.rows).toEqual([good, gone]);
    expect(fitting.warnings).toEqual([]);
  });

  test("ends when it is told to", async () => {
    const engine = await Engine.open({ addon: fakeAddon() });
    const processor = await Processor.load(MODEL, engine);
    const options = { maxPromptLength: 10, promptSuffix: "", signal: AbortSignal.abort("stop") };
    await expect(leaveOutOverlong({ rows: rows(3), files: [3] }, processor, options, () => {})).rejects.toBe("stop");
  });

  test("keeps a run's steps full, and its questions short", async () => {
    const given = rows(8).map((row, index) =>
      index % 2 === 0 ? row : { ...row, messages: [{ role: "user" as const, content: "long ".repeat(100) }] },
    );
    const { processor } = await leaveOut(given, 10_000);
    const limit = (await promptLengths(processor, given.slice(0, 1)))[0] as number;
    const warnings: string[] = [];
    const trainer = banditRun(await banditEngine(), join(folder, "run"), {
      dataset: given,
      maxPromptLength: limit,
      promptsPerStep: 4,
      maxSteps: 2,
      reporters: [{ onWarning: (message) => void warnings.push(message) }],
    });
    const reports = await runAll(trainer);
    for (const { completions } of reports) {
      expect([...new Set(completions.map(({ id }) => id))].sort()).toEqual(["row-0", "row-2", "row-4", "row-6"]);
    }
    expect(warnings).toEqual([expect.stringMatching(/^4 of 8 rows are left out/)]);
  });
});
