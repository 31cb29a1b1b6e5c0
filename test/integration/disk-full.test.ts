import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { jsonLines } from "../support/cli.js";
import { startCli, tinyRun, writeReward } from "../support/golden-run.js";
import { temporaryFolder } from "../support/temporary.js";
import { checkpointFile } from "../support/training.js";

const folder = temporaryFolder();
const reward = writeReward(folder);
const run = (args: string[], limit?: number) => startCli(args, limit).ended;
const checkpoints = (outputDir: string) => readdirSync(join(outputDir, "checkpoints"));
const state = (outputDir: string, step: number) => readFileSync(checkpointFile(outputDir, step, "state.safetensors"));
const steps = (outputDir: string) =>
  jsonLines(readFileSync(join(outputDir, "metrics.jsonl"), "utf8")).map(({ step }) => step);

/** A file system of its own; undefined where this process may not make one. */
function smallDisk(megabytes: number): string | undefined {
  const disk = join(folder, "disk");
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", disk], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  afterAll(() => execFileSync("umount", [disk]));
  return disk;
}

const disk = smallDisk(4);

describe("a full disk", () => {
  test.skipIf(disk === undefined)(
    "stops the run at a checkpoint, which names the last good one; with room it ends in the same bits (needs mount)",
    async () => {
      const outputDir = join(disk as string, "run");
      const more = ["--max-steps", "4", "--save-steps", "1"];
      const { code, text } = await run(tinyRun(outputDir, reward, ...more));
      expect(code).toBe(1);
      // There is room for two checkpoints, not for a third beside them.
      // Who meets it first, the addon or Node, says it in other words.
      expect(text).toMatch(/error \[ERR_IO\] cannot write .*step-000003.*: no space left on (device|the disk)/i);
      expect(text).toMatch(/hint: The last good checkpoint is .*step-000002\. Free space; --resume goes on from it\./);
      expect(checkpoints(outputDir)).toEqual(["step-000001", "step-000002"]);
      rmSync(join(outputDir, "checkpoints", "step-000001"), { recursive: true });
      const resumed = await run(tinyRun(outputDir, reward, ...more, "--save-total-limit", "1", "--resume"));
      expect(resumed.text).toContain("from step 2");
      expect(resumed.code).toBe(0);
      const whole = join(folder, "whole");
      expect((await run(tinyRun(whole, reward, ...more))).code).toBe(0);
      expect(state(outputDir, 4).equals(state(whole, 4))).toBe(true);
      expect(steps(outputDir)).toEqual([1, 2, 3, 4]);
    },
  );

  test.skipIf(process.platform === "win32")("or a limit of the file size does the same", async () => {
    const outputDir = join(folder, "limited");
    expect((await run(tinyRun(outputDir, reward, "--max-steps", "2", "--save-steps", "1"))).code).toBe(0);
    const more = ["--max-steps", "4", "--save-steps", "2", "--resume"];
    const { code, text } = await run(tinyRun(outputDir, reward, ...more), 1000);
    expect(code).toBe(1);
    expect(text).toMatch(/error \[ERR_IO\] cannot write .*step-000004.*: File too large/);
    expect(text).toContain("The last good checkpoint is");
    expect(checkpoints(outputDir)).toEqual(["step-000001", "step-000002"]);
    expect(JSON.parse(readFileSync(join(outputDir, "run.json"), "utf8"))).toMatchObject({ status: "failed", step: 4 });
    expect((await run(tinyRun(outputDir, reward, ...more))).code).toBe(0);
    expect(steps(outputDir)).toEqual([1, 2, 3, 4]);
  });

  test.skipIf(process.platform === "win32")("in the middle of metrics.jsonl too", async () => {
    const outputDir = join(folder, "lines");
    expect((await run(tinyRun(outputDir, reward, "--max-steps", "2"))).code).toBe(0);
    const before = join(folder, "before");
    cpSync(outputDir, before, { recursive: true });
    // A long line of a step that stays fills what there is.
    const path = join(outputDir, "metrics.jsonl");
    const there = readFileSync(path, "utf8");
    writeFileSync(path, `${there}{"step":2,"note":"${"x".repeat(2000 * 1024 - there.length - 40)}"}\n`);
    const { code, text } = await run(tinyRun(outputDir, reward, "--max-steps", "9", "--resume"), 2000);
    expect(code).toBe(1);
    expect(text).toMatch(/error \[ERR_IO\] cannot write .*metrics\.jsonl: the file would be larger than allowed/);
    expect(text).toMatch(/The last good checkpoint is .*step-000002/);
    expect(checkpoints(outputDir)).toEqual(["step-000002"]);
    cpSync(join(before, "metrics.jsonl"), path);
    expect((await run(tinyRun(outputDir, reward, "--max-steps", "4", "--resume"))).code).toBe(0);
    expect(steps(outputDir)).toEqual([1, 2, 3, 4]);
  });
});
