import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contentKeys, type Row } from "../../../lib/data/datasets/index.js";
import { type GrpoTrainerOptions, Trainer } from "../../../lib/trainer/index.js";
import { resolveOptions } from "../../../lib/trainer/options.js";
import { openData } from "../../../lib/trainer/run-data.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, MODEL, rows, runAll } from "../../support/training.js";

const folder = temporaryFolder();
mkdirSync(join(folder, "other"));
for (let picture = 0; picture < 30; picture += 1) writeFileSync(join(folder, `${picture}.png`), "x");

/** `questions` on each of `pictures`, from `first` on. */
function write(name: string, { first = 0, pictures = 10, questions = 4, ids = name } = {}): string {
  const items = Array.from({ length: pictures * questions }, (_, index) => ({
    id: `${ids}-${index}`,
    image: join(folder, `${first + Math.floor(index / questions)}.png`),
    conversations: [
      { from: "human", value: `<image>question ${index % questions}?` },
      { from: "gpt", value: "answer" },
    ],
  }));
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(items));
  return path;
}

async function open(options: Partial<GrpoTrainerOptions>) {
  const warnings: string[] = [];
  const resolved = resolveOptions({ model: MODEL, dataset: rows(4), ...options });
  const data = await openData(resolved, { warn: (message) => void warnings.push(message), signal: undefined });
  return { ...data, warnings };
}

const idsOf = (list: readonly Row[] | undefined) => list?.map(({ id }) => id);

describe("the rows of a run", () => {
  test("are those of its files, in order, with the count of each", async () => {
    const [one, two] = [write("one.json"), write("two.json", { first: 10, pictures: 5, questions: 1 })];
    const data = await open({ dataset: `${one}:${two}` });
    expect(data.files).toEqual([40, 5]);
    expect(data.rows).toHaveLength(45);
    expect(data.rows[40]?.id).toBe("two.json-0");
    expect([data.evalRows, data.warnings]).toEqual([undefined, []]);
  });

  test("are those that code gives, as one file", async () => {
    const given = rows(7);
    const evalDataset = rows(9).slice(7);
    const data = await open({ dataset: given, evalDataset });
    expect(data).toMatchObject({ rows: given, files: [7], evalRows: evalDataset, warnings: [] });
  });

  test("have ids of their own, also where files number alike", async () => {
    const paths = [write("a.json", { ids: "row" }), write("b.json", { ids: "row", first: 10 })];
    const data = await open({ dataset: paths.join(":") });
    expect(new Set(idsOf(data.rows)).size).toBe(80);
    expect(data.rows[40]?.id).toBe("row-0#2");
    expect(data.warnings).toEqual([
      expect.stringMatching(/^40 rows have an id that another row has.*row-0 is now row-0#2/),
    ]);
    const [first, second] = rows(2);
    const inCode = await open({ dataset: [first!, { ...second!, id: first!.id }] });
    expect(idsOf(inCode.rows)).toEqual(["row-0", "row-0#2"]);
    expect(inCode.warnings).toHaveLength(1);
  });

  test("are told of where held-out rows are among them", async () => {
    const [train, test] = [write("train.json"), write("test.json", { first: 8, questions: 1 })];
    const { warnings } = await open({ dataset: train, evalDataset: test });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^2 of 10 held-out rows have a picture of the training data.*: test\.json-0, test\.json-1$/,
      ),
    ]);
    const apart = write("apart.json", { first: 10, questions: 1 });
    expect((await open({ dataset: train, evalDataset: apart })).warnings).toEqual([]);
    expect((await open({ dataset: rows(4), evalDataset: rows(7) })).warnings).toEqual([
      expect.stringMatching(/^4 of 7 held-out rows/),
    ]);
  });
});

describe("a held-out split", () => {
  const dataset = [write("x.json"), write("y.json", { first: 5, pictures: 20, questions: 2 })].join(":");

  test("never has a picture or a question on both sides, and loses no row", async () => {
    const anyRows = fc
      .array(fc.tuple(fc.nat({ max: 6 }), fc.option(fc.nat({ max: 6 })), fc.nat({ max: 3 })), {
        minLength: 1,
        maxLength: 30,
      })
      .map((items) =>
        items.map(([one, other, question], index): Row => {
          const images =
            other === null ? [] : [join(folder, `${one}.png`), join(folder, "other", "..", `${other}.png`)];
          return {
            id: `${index}`,
            messages: [{ role: "user", content: `${question}` }],
            images,
            solution: "",
            raw: {},
          };
        }),
      );
    await fc.assert(
      fc.asyncProperty(
        anyRows,
        fc.double({ min: 0.01, max: 0.9, noNaN: true }),
        fc.nat(),
        async (given, ratio, seed) => {
          const data = await open({ dataset: given, valSplitRatio: ratio, seed }).catch((error: unknown) => {
            expect(error).toMatchObject({ code: "ERR_DATA" });
          });
          if (data === undefined) return;
          const held = data.evalRows ?? [];
          expect([...data.rows, ...held].map(({ id }) => Number(id)).sort((a, b) => a - b)).toEqual([...given.keys()]);
          expect(Math.min(data.rows.length, held.length)).toBeGreaterThan(0);
          expect(data.files).toEqual([data.rows.length]);
          const learnt = new Set((await contentKeys(data.rows)).flat());
          for (const key of (await contentKeys(held)).flat()) expect(learnt.has(key)).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("takes its share of every file, the same for the same seed, another for another", async () => {
    const split = await open({ dataset, valSplitRatio: 0.2, seed: 5 });
    const held = split.evalRows ?? [];
    expect(held.length).toBeGreaterThanOrEqual(12);
    expect(held.length).toBeLessThanOrEqual(20);
    const heldOf = (file: string) => held.filter(({ id }) => id.startsWith(file)).length;
    expect(split.files).toEqual([40 - heldOf("x"), 40 - heldOf("y")]);
    expect(Math.min(heldOf("x"), heldOf("y"))).toBeGreaterThan(0);
    expect(split.warnings).toEqual([]);
    expect(idsOf((await open({ dataset, valSplitRatio: 0.2, seed: 5 })).evalRows)).toEqual(idsOf(held));
    expect(idsOf((await open({ dataset, valSplitRatio: 0.2, seed: 6 })).evalRows)).not.toEqual(idsOf(held));
  });

  test("does not depend on what else a run is told", async () => {
    const held = (await open({ dataset, valSplitRatio: 0.2 })).evalRows;
    const other = await open({
      dataset,
      valSplitRatio: 0.2,
      maxPromptLength: 3,
      datasetWeights: [1, 2],
      shuffleDataset: false,
    });
    expect(idsOf(other.evalRows)).toEqual(idsOf(held));
  });

  test("says where it is far from the share, and where there can be none", async () => {
    const two = write("two-pictures.json", { pictures: 2, questions: 10 });
    const { warnings, evalRows } = await open({ dataset: two, valSplitRatio: 0.1 });
    expect(evalRows).toHaveLength(10);
    expect(warnings).toEqual([expect.stringMatching(/10 of 20 rows are held out, where 2 are the share/)]);
    const one = write("one-picture.json", { pictures: 1, questions: 10 });
    await expect(open({ dataset: one, valSplitRatio: 0.1 })).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/10 rows of one file are 1 group/),
    });
  });

  test("serves a run's evaluations, and its rows are not trained on", async () => {
    const options = { dataset: rows(10), valSplitRatio: 0.3, maxSteps: -1, numTrainEpochs: 1, logCompletions: false };
    const trainer = banditRun(await banditEngine(), join(folder, "run"), options);
    const { answers } = await trainer.evaluate();
    expect(answers).toHaveLength(3);
    const held = answers.map(({ row }) => row.id);
    const reports = await runAll(trainer);
    const trained = new Set(reports.flatMap(({ completions }) => completions.map(({ id }) => id)));
    expect([...trained, ...held].sort()).toEqual(rows(10).map(({ id }) => id));
  });
});

describe("options that contradict each other are refused", () => {
  const gone = join(folder, "gone.json");
  test.each<[string, Partial<GrpoTrainerOptions>, RegExp]>([
    ["a split beside held-out data", { dataset: gone, valSplitRatio: 0.1, evalDataset: gone }, /both given/],
    ["a split beside held-out rows", { dataset: gone, valSplitRatio: 0.1, evalDataset: rows(2) }, /both given/],
    [
      "weights beside a curriculum",
      { dataset: `${gone}:${gone}`, datasetWeights: [1, 1], curriculum: true },
      /curriculum/,
    ],
    [
      "another number of weights",
      { dataset: `${gone}:${gone}`, datasetWeights: [1, 1, 1] },
      /one per data file \(2\), got 3/,
    ],
    ["weights of zero", { dataset: `${gone}:${gone}`, datasetWeights: [0, 0] }, /zeros only/],
    ["weights of rows", { datasetWeights: [1] }, /dataset_weights: expected a data set of files/],
    ["a curriculum of one file", { dataset: gone, curriculum: true }, /curriculum: expected several data files/],
    ["a curriculum of rows", { curriculum: true }, /curriculum: expected a data set of files/],
  ])("%s", async (_, options, message) => {
    await expect(open(options)).rejects.toMatchObject({ code: "ERR_CONFIG", message: expect.stringMatching(message) });
  });

  test("by a trainer at once", () => {
    const make = () => new Trainer({ model: MODEL, dataset: gone, valSplitRatio: 0.5, evalDataset: gone });
    expect(make).toThrow(expect.objectContaining({ code: "ERR_CONFIG" }));
  });
});
