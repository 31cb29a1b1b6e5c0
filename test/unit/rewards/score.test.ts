import { getEventListeners } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { RewardFunction } from "../../../lib/rewards/index.js";
import { nameRewards } from "../../../lib/rewards/named.js";
import { Scorer } from "../../../lib/rewards/score.js";
import { scorable } from "../../support/rewards.js";
import { temporaryFolder } from "../../support/temporary.js";
import { rows } from "../../support/training.js";

const [first, second] = rows(2) as [ReturnType<typeof rows>[number], ReturnType<typeof rows>[number]];
const items = [scorable(first, "<think>a</think><answer>apple 52</answer>"), scorable(second, "b")];
const options = { step: 0, evaluation: false, maxCompletionLength: 100, timeLimit: 50 };
const scorer = (...functions: RewardFunction[]) => new Scorer(nameRewards(functions));

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("a reward that gives no number", () => {
  const cases: [string, RewardFunction, RegExp][] = [
    [
      "throws",
      (completion) => {
        if (completion === "b") throw new TypeError("bad day");
        return 1;
      },
      // What is a mistake rather than a message is told with its place.
      /TypeError: bad day \(\S*score\.test\.ts:\d+\)$/,
    ],
    ["rejects", async (completion) => (completion === "b" ? Promise.reject(new Error("later")) : 1), /later$/],
    ["throws no error", (completion) => (completion === "b" ? Promise.reject("text") : 1), /threw text/],
    ["never ends", (completion) => (completion === "b" ? new Promise(() => {}) : 1), /time limit of 0.05 s/],
    ["is not a number", (completion) => (completion === "b" ? Number.NaN : 1), /returned NaN/],
    ["is infinite", (completion) => (completion === "b" ? Number.POSITIVE_INFINITY : 1), /returned Infinity/],
    [
      "is a text",
      (completion) => (completion === "b" ? ("5" as unknown as number) : 1),
      /returned "5", not a finite number/,
    ],
  ];
  test.each(cases)("%s: it counts as not applicable, under its row's id", async (_, reward, message) => {
    const { values, failures } = await scorer(() => 0.5, reward).score(items, options);
    expect(values).toEqual([
      [0.5, 1],
      [0.5, null],
    ]);
    expect(failures).toEqual([{ reward: "reward_2", row: "row-1", message: expect.stringMatching(message) }]);
  });

  test("null and undefined are no failure", async () => {
    const { values, failures } = await scorer(
      () => null,
      () => undefined,
    ).score(items, options);
    expect(values).toEqual([
      [null, null],
      [null, null],
    ]);
    expect(failures).toEqual([]);
  });

  test("stops the run when it fails in every call of the first batch", async () => {
    const failing: RewardFunction = () => {
      throw new Error("no key");
    };
    const running = scorer(() => 1, failing).score(items, options);
    await expect(running).rejects.toMatchObject({ code: "ERR_REWARD", message: expect.stringContaining("no key") });
  });

  test("once it has worked it may fail for nine batches, not ten", async () => {
    let works = true;
    const judge = scorer(() => {
      if (works) return 1;
      throw new Error("down");
    });
    await judge.score(items, options);
    works = false;
    for (let batch = 0; batch < 9; batch += 1) await judge.score(items, options);
    await expect(judge.score(items, options)).rejects.toMatchObject({ code: "ERR_REWARD" });
  });
});

test("a reward gets the row, the step, and a signal that is raised when its time is over", async () => {
  const seen: unknown[] = [];
  let aborted = 0;
  const slow: RewardFunction = (_, row, { step, evaluation, signal }) => {
    seen.push([row.id, step, evaluation]);
    signal.addEventListener("abort", () => {
      aborted += 1;
    });
    return row.id === "row-0" ? 1 : new Promise(() => {});
  };
  await scorer(slow).score(items, { ...options, step: 7, evaluation: true });
  expect(seen).toEqual([
    ["row-0", 7, true],
    ["row-1", 7, true],
  ]);
  expect(aborted).toBe(1);
});

test("an interruption ends waiting rewards at once and leaves no listener", async () => {
  const controller = new AbortController();
  const running = scorer(() => new Promise(() => {})).score(items, {
    ...options,
    timeLimit: 60_000,
    signal: controller.signal,
  });
  controller.abort(new Error("enough"));
  await expect(running).rejects.toThrow("enough");
  expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
});

test("names are unique and fit into metric names", () => {
  const named = (name: string) => Object.defineProperty(() => 1, "name", { value: name });
  const names = nameRewards([named("my reward/x"), named(""), named("a"), named("a"), () => 1]).map(({ name }) => name);
  expect(names).toEqual(["my_reward_x", "reward", "a", "a_2", "reward_2"]);
});

describe("the debug log", () => {
  const folder = temporaryFolder();
  const accuracy = Object.defineProperty((completion: string) => (completion === "b" ? null : 1), "name", {
    value: "content",
  });

  test("holds every scored completion in VLM-R1's form", async () => {
    const path = join(folder, "debug.log");
    vi.stubEnv("DEBUG_MODE", "true");
    vi.stubEnv("LOG_PATH", path);
    await scorer(() => 0.5, accuracy).score(items, options);
    const title = (reward: string) =>
      `------------- \\d\\d-\\d\\d-\\d\\d-\\d\\d-\\d{6} Accuracy reward: ${reward} -------------\n`;
    const entry = (reward: string, item: (typeof items)[number]) =>
      `${title(reward)}Content: ${item.completion}\nSolution: ${item.row.solution}\n`;
    expect(readFileSync(path, "utf8")).toMatch(new RegExp(`^${entry("1\\.0", items[0]!)}${entry("None", items[1]!)}$`));
  });

  test("is not written unless DEBUG_MODE is true", async () => {
    const path = join(folder, "none.log");
    vi.stubEnv("DEBUG_MODE", "1");
    vi.stubEnv("LOG_PATH", path);
    await scorer(accuracy).score(items, options);
    expect(existsSync(path)).toBe(false);
  });
});
