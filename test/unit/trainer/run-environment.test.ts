import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageVersion } from "../../../lib/engine/index.js";
import { DataStatisticsSchema } from "../../../lib/page/data-statistics.js";
import { type Environment, EnvironmentSchema } from "../../../lib/report/environment.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, MODEL, rows, runAll } from "../../support/training.js";

const read = (folder: string): Environment =>
  EnvironmentSchema.parse(JSON.parse(readFileSync(join(folder, "environment.json"), "utf8")));
const fromSteps = (folder: string) => read(folder).sessions.map(({ from_step }) => from_step);

test("a run notes where it runs, and each process that goes on with it; those that it makes anew are forgotten", async () => {
  const folder = temporaryFolder();
  const saving = { saveSteps: 2, saveTotalLimit: 9 };
  const train = async (more: object) => {
    const trainer = banditRun(await banditEngine(), folder, { ...saving, ...more });
    await runAll(trainer);
    await trainer.dispose();
  };
  await train({ maxSteps: 4 });
  expect(read(folder)).toMatchObject({
    objective: "grpo",
    model: { name: MODEL, type: "qwen2_5_vl", parameters: 4, trainable_parameters: 4 },
    sessions: [
      {
        from_step: 0,
        version: packageVersion(),
        node: process.versions.node,
        device: "cpu",
        threads: 2,
        isa: "avx2",
        working_folder: process.cwd(),
      },
    ],
  });
  await train({ maxSteps: 8, resume: true });
  expect(fromSteps(folder)).toEqual([0, 4]);
  const [first] = read(folder).sessions;
  expect(first?.started.localeCompare(read(folder).sessions[1]?.started ?? "")).toBeLessThanOrEqual(0);
  // Back to step 2: what was done from 4 on is superseded.
  await train({ maxSteps: 8, resume: join(folder, "checkpoints", "step-000002") });
  expect(fromSteps(folder)).toEqual([0, 2]);
  await train({ maxSteps: 2, overwriteOutputDir: true });
  expect(fromSteps(folder)).toEqual([0]);
});

test("a run notes what its rows hold, and how many are held out", async () => {
  const folder = temporaryFolder();
  const trainer = banditRun(await banditEngine(), folder, { maxSteps: 1, evalDataset: rows(3) });
  await runAll(trainer);
  await trainer.dispose();
  const data = DataStatisticsSchema.parse(JSON.parse(readFileSync(join(folder, "data.json"), "utf8")));
  expect(data).toMatchObject({ rows: 11, pictures: 0, questions: 11, answers: 1, heldOutRows: 3 });
  expect(data.commonAnswers).toEqual([{ name: "apple", count: 11 }]);
});
