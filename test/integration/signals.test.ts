import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { MAIN, type Started, startCli, tinyRun, writeReward } from "../support/golden-run.js";
import { temporaryFolder } from "../support/temporary.js";

const folder = temporaryFolder();
const reward = writeReward(folder);

async function until(condition: () => boolean, { ended }: Started): Promise<void> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!condition() && !over) await sleep(1);
}

/** Sends a signal, a second one once the first has been heard, and gives how it ended. */
async function interrupt(run: Started, ...[first, second]: [NodeJS.Signals, NodeJS.Signals?]) {
  run.kill(first);
  if (second !== undefined) {
    await until(() => run.text().includes("once more to stop at once"), run);
    run.kill(second);
  }
  return run.ended;
}

/** Says on the screen that it waits, for longer than any test does. */
const WAIT = 'process.stderr.write("waiting\\n"); await new Promise((done) => setTimeout(done, 600_000));';
const waits = (run: Started) => until(() => run.text().includes("waiting"), run);

describe("an interruption", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "by %s while a reward waits for an answer is heard at once",
    async (name) => {
      const slow = writeReward(folder, "slow", `${WAIT} return 1;`);
      const run = startCli(tinyRun(join(folder, name), slow, "--max-steps", "3"));
      await waits(run);
      const { code, text } = await interrupt(run, name);
      expect(text).toContain("interrupted after 0 steps");
      expect(code).toBe(130);
    },
  );

  test("a terminal that is closed is none where there was none, as under nohup", async () => {
    const run = startCli(tinyRun(join(folder, "hangup"), reward, "--max-steps", "3"));
    await until(() => run.text().includes("GRPO: "), run);
    const { code, text } = await interrupt(run, "SIGHUP");
    expect(text).toContain("finished after 3 steps");
    expect(code).toBe(0);
  });

  test("that cannot be heard, as where a reward's file is never loaded, ends at the second signal", async () => {
    const stuck = writeReward(folder, "stuck", `return 1; } ${WAIT} {`);
    const run = startCli(tinyRun(join(folder, "stuck"), stuck, "--max-steps", "3"));
    await waits(run);
    const { code, text } = await interrupt(run, "SIGINT", "SIGINT");
    expect(text).toContain("once more to stop at once");
    expect(code).toBe(130);
  });

  test("while the model is saved at the end leaves nothing torn, and the run can be ended", async () => {
    const [out, model] = [join(folder, "final"), join(folder, "model")];
    const args = tinyRun(out, reward, "--max-steps", "1", "--save-model-to", model);
    const run = startCli(args);
    await until(() => existsSync(join(folder, ".writing-model")) && run.text().includes("1/1"), run);
    const { code } = await interrupt(run, "SIGINT");
    expect([0, 130]).toContain(code);
    expect(readdirSync(folder).filter((name) => name.startsWith(".writing"))).toEqual([]);
    const resumed = await startCli([...args, "--resume"]).ended;
    expect(resumed.code).toBe(0);
    expect(existsSync(join(model, "model.safetensors"))).toBe(true);
  });
});

test("a run whose messages nobody reads any more goes on to its end", () => {
  const out = join(folder, "unread");
  const args = tinyRun(out, reward, "--max-steps", "20", "--no-report");
  const piped = 'set -o pipefail; "$@" 2>&1 | head -n 1';
  const { status, stdout } = spawnSync("bash", ["-c", piped, "bash", process.execPath, MAIN, ...args]);
  expect({ status, lines: String(stdout).trim().split("\n").length }).toEqual({ status: 0, lines: 1 });
  expect(JSON.parse(readFileSync(join(out, "run.json"), "utf8"))).toMatchObject({ status: "finished", step: 20 });
});
