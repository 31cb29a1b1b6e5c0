import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isAlive, ownHolder } from "../../../lib/files/index.js";
import { statusOf } from "../../../lib/page/status.js";
import { temporaryFolder } from "../../support/temporary.js";

const run = (status: "running" | "paused" | "finished" | "failed") => ({ status, step: 3, totalSteps: 9 });

test("a run goes on while its process is there, and else was interrupted", async () => {
  const folder = temporaryFolder();
  const lock = (holder: object) => writeFileSync(join(folder, "run.lock"), JSON.stringify(holder));
  // No lock at all.
  expect(await statusOf(folder, run("running"))).toBe("interrupted");
  lock(ownHolder());
  expect(await statusOf(folder, run("running"))).toBe("running");
  expect(await statusOf(folder, run("paused"))).toBe("paused");
  const { pid } = spawnSync(process.execPath, ["--version"]);
  lock({ pid, started: null });
  expect(await statusOf(folder, run("running"))).toBe("interrupted");
  expect(await statusOf(folder, run("paused"))).toBe("interrupted");
  writeFileSync(join(folder, "run.lock"), '{"pid":');
  expect(await statusOf(folder, run("running"))).toBe("interrupted");
});

test.runIf(process.platform === "linux")("another process with the number of the old one is not it", () => {
  const own = ownHolder();
  expect(isAlive(own)).toBe(true);
  expect(isAlive({ ...own, started: (own.started as number) + 1 })).toBe(false);
});

test("what has ended stays as it was noted, and a folder without a note is unknown", async () => {
  const folder = temporaryFolder();
  expect(await statusOf(folder, run("finished"))).toBe("finished");
  expect(await statusOf(folder, run("failed"))).toBe("failed");
  expect(await statusOf(folder, undefined)).toBe("unknown");
});
