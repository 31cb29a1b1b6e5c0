import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Reporter } from "../../../lib/report/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, runAll } from "../../support/training.js";

const folder = temporaryFolder();

function follow(more: Reporter = {}) {
  const said: string[] = [];
  const reporter: Reporter = {
    onWarning: (message) => void said.push(message),
    onEnd: ({ status }) => void said.push(status),
    ...more,
  };
  return { said, reporters: [reporter] };
}

test.each([
  ["failed", 1],
  ["finished", 100],
])("what a reporter throws of a profile is thrown, in a run that has %s", async (status, profileSteps) => {
  const out = join(folder, status);
  const onProfile = () => Promise.reject(new Error("on purpose"));
  const { said, reporters } = follow({ onProfile });
  const run = banditRun(await banditEngine(), out, { maxSteps: 4, profile: true, profileSteps, reporters });
  await expect(runAll(run)).rejects.toThrow("on purpose");
  // The profile is there, and the run ends in good order.
  expect(existsSync(join(out, "trace.json"))).toBe(true);
  expect(said).toEqual([status]);
  expect(JSON.parse(readFileSync(join(out, "run.json"), "utf8"))).toMatchObject({ status });
});

test("a run that has no step to profile says so, once", async () => {
  const out = join(folder, "resumed");
  await runAll(banditRun(await banditEngine(), out, { maxSteps: 2 }));
  const { said, reporters } = follow();
  await runAll(banditRun(await banditEngine(), out, { maxSteps: 2, resume: true, profile: true, reporters }));
  expect(said).toEqual([expect.stringMatching(/^there is no profile: the run did no step from 3 on/), "finished"]);
});
