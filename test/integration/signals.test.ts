import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type Started, startCli, tinyRun, writeReward } from "../support/golden-run.js";
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

/** Sends signals and gives the exit code and how long the first of them took. */
async function interrupt(run: Started, ...signals: NodeJS.Signals[]) {
  const started = performance.now();
  for (const [index, signal] of signals.entries()) {
    if (index > 0) await sleep(100);
    run.kill(signal);
  }
  const { code, text } = await run.ended;
  return { code, text, milliseconds: performance.now() - started };
}

describe("an interruption", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "by %s while a reward waits for an answer is heard at once",
    async (name) => {
      const slow = writeReward(folder, "slow", "await new Promise((done) => setTimeout(done, 20_000)); return 1;");
      const run = startCli(tinyRun(join(folder, name), slow, "--max-steps", "3"));
      await until(() => run.text().includes("GRPO: "), run);
      await sleep(300);
      const { code, text, milliseconds } = await interrupt(run, name);
      expect(text).toContain("interrupted after 0 steps");
      expect(code).toBe(130);
      expect(milliseconds).toBeLessThan(5000);
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
    const stuck = writeReward(folder, "stuck", "return 1; } await new Promise((done) => setTimeout(done, 20_000)); {");
    const run = startCli(tinyRun(join(folder, "stuck"), stuck, "--max-steps", "3"));
    await sleep(1500);
    const { code, text, milliseconds } = await interrupt(run, "SIGINT", "SIGINT");
    expect(text).toContain("once more to stop at once");
    expect(code).toBe(130);
    expect(milliseconds).toBeLessThan(5000);
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
