import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { runCli } from "../../support/cli.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";
import { readTrace } from "../../support/trace.js";

let addon = fakeAddon();

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

const MODEL = goldenPath("qwen2_5_vl_a");
const DATA = goldenPath("conversations.json");
const folder = temporaryFolder();
let made = 0;
const fresh = (name: string) => join(folder, `${name}-${made++}`);
const training = () => ["--model", MODEL, "--dataset", DATA, "--max-steps", "1", "--output-dir", fresh("run")];

const COMMANDS: [string, () => string[]][] = [
  ["generate", () => ["--model", MODEL, "--prompt", "2 + 2?"]],
  ["eval", () => ["--model", MODEL, "--dataset", DATA]],
  ["train", training],
  ["sft", training],
];

beforeEach(() => {
  addon = fakeAddon();
});

describe.each(COMMANDS)("%s --profile", (command, args) => {
  const profiled = (file: string) => runCli([command, ...args(), "--profile", file]);
  const loaded = () => addon.calls.some(({ verb }) => verb === "loadModel");

  test.each([
    [
      2,
      /^error \[ERR_USAGE\] cannot write the profile .*: expected a file or nothing, there is a folder$/m,
      () => folder,
    ],
    [2, /^error \[ERR_USAGE\] cannot write the profile \/dev\/null: .* there is a device/m, () => "/dev/null"],
    [1, /^error \[ERR_NOT_FOUND\] cannot write the profile .*: a part of the path is not a folder$/m, underFile],
  ])("ends with %i before weights are loaded: %s", async (expected, message, target) => {
    const { code, stderr } = await profiled(target());
    expect(stderr).toMatch(message);
    expect(stderr).toContain("hint: Name another file: --profile FILE.");
    expect(code).toBe(expected);
    expect(loaded()).toBe(false);
  });

  test("writes into a folder that is not there yet, over what was there", async () => {
    const target = join(fresh("new"), "trace.json");
    for (const _ of ["new", "again"]) {
      const { code } = await profiled(target);
      expect(code).toBe(0);
      expect(readTrace(target).threads.has("engine")).toBe(true);
    }
    expect(readdirSync(join(target, ".."))).toEqual(["trace.json"]);
  });
});

function underFile(): string {
  const file = fresh("file");
  writeFileSync(file, "");
  return join(file, "trace.json");
}

test("a file that cannot be written any more is told with what to do, and the work is not lost", async () => {
  const target = fresh("taken");
  const onWrite = () => void (existsSync(target) || mkdirSync(target));
  const { code, stdout, stderr } = await runCli(
    ["generate", "--model", MODEL, "--prompt", "2 + 2?", "--profile", target],
    { onWrite },
  );
  expect(code).toBe(0);
  expect(stdout).not.toBe("");
  expect(stderr).toMatch(/^warning: there is no profile: cannot write .* \(Name another file: --profile FILE\.\)$/m);
});

test.each([
  ["train", "trace.json in the run's folder"],
  ["generate", "trace.json"],
])("%s --help says which file it is", async (command, file) => {
  const { stdout } = await runCli([command, "--help"]);
  expect(stdout.replaceAll(/\s+/g, " ")).toContain(`(file, unless named: ${file})`);
});
