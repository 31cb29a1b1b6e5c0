import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { VlmR1Error } from "../../../lib/errors/index.js";
import type { RewardContext, RewardFunction } from "../../../lib/rewards/index.js";
import { nameRewards } from "../../../lib/rewards/named.js";
import { type ScoreOptions, Scorer } from "../../../lib/rewards/score.js";
import { PICTURE, rewardRow, scorable } from "../../support/rewards.js";

const options: ScoreOptions = { step: 0, evaluation: false, maxCompletionLength: 100, timeLimit: 2000, retryPause: 5 };
const scorer = (...functions: RewardFunction[]) => new Scorer(nameRewards(functions));
const items = (count: number) =>
  Array.from({ length: count }, (_, index) => scorable({ ...rewardRow(""), id: `r${index}` }, String(index)));

test("a reward gets question, pictures, tokens and limits, and the row's own fields", async () => {
  let seen: RewardContext | undefined;
  let field: unknown;
  const row = {
    ...rewardRow("", { note: "raw" }),
    messages: [
      { role: "user" as const, content: "first" },
      { role: "assistant" as const, content: "answer" },
      { role: "user" as const, content: [{ type: "image" as const }, { type: "text" as const, text: " second\n" }] },
    ],
  };
  const reward: RewardFunction = (_, given, context) => {
    seen = context;
    field = given.raw.note;
    return 1;
  };
  const item = scorable(row, "x", { tokens: Int32Array.of(4, 5), finishReason: "length", images: [PICTURE] });
  await scorer(reward).score([item], { ...options, step: 3, evaluation: true });
  expect(seen).toMatchObject({
    step: 3,
    evaluation: true,
    question: "second",
    images: [PICTURE],
    tokens: Int32Array.of(4, 5),
    truncated: true,
    maxCompletionLength: 100,
  });
  expect(field).toBe("raw");
});

test("results and failures stand in the order of completions, whichever ends first", async () => {
  const late: RewardFunction = async (completion) => {
    await wait(30 - 10 * Number(completion));
    if (completion !== "1") throw new Error(`no ${completion}`);
    return 1;
  };
  const { values, failures } = await scorer(late, (completion) => Number(completion)).score(items(3), options);
  expect(values).toEqual([
    [null, 0],
    [1, 1],
    [null, 2],
  ]);
  expect(failures.map(({ row, message }) => [row, message])).toEqual([
    ["r0", "threw Error: no 0"],
    ["r2", "threw Error: no 2"],
  ]);
});

test("so many calls of one reward wait at once, and not more", async () => {
  const most = [0, 0];
  const under = [0, 0];
  const counted = (index: number): RewardFunction => {
    return async () => {
      under[index] = (under[index] as number) + 1;
      most[index] = Math.max(most[index] as number, under[index] as number);
      await wait(5);
      under[index] = (under[index] as number) - 1;
      return 1;
    };
  };
  await scorer(counted(0), counted(1)).score(items(7), { ...options, concurrency: 3 });
  expect(most).toEqual([3, 3]);
});

test("hundreds of calls at once are no leak", async () => {
  const warnings: Error[] = [];
  const listener = (warning: Error) => warnings.push(warning);
  process.on("warning", listener);
  await scorer(async () => wait(1, 1)).score(items(100), options);
  await wait(5);
  process.off("warning", listener);
  expect(warnings).toEqual([]);
});

test("the time limit is that of the call, not of the wait for its turn", async () => {
  const slow: RewardFunction = async () => {
    await wait(40);
    return 1;
  };
  const { failures } = await scorer(slow).score(items(5), { ...options, timeLimit: 120, concurrency: 1 });
  expect(failures).toEqual([]);
});

describe("a call that failed", () => {
  function failing(error: unknown, times: number) {
    const calls: number[] = [];
    const reward: RewardFunction = () => {
      calls.push(performance.now());
      if (calls.length <= times) throw error;
      return 1;
    };
    return { reward, calls };
  }

  test("is repeated so often, with growing pauses", async () => {
    const { reward, calls } = failing(new TypeError("fetch failed"), 2);
    const { values } = await scorer(reward).score(items(1), { ...options, retries: 2, retryPause: 30 });
    expect(values).toEqual([[1]]);
    const [a, b, c] = calls as [number, number, number];
    expect(b - a).toBeGreaterThan(25);
    expect(c - b).toBeGreaterThan(55);
  });

  test("fails after that, with the number of tries", async () => {
    const { reward, calls } = failing(new Error("down"), 9);
    const scoring = scorer(reward, () => 1).score(items(1), { ...options, retries: 2 });
    await expect(scoring).rejects.toThrow(/down \(3 tries\)/);
    expect(calls).toHaveLength(3);
  });

  test("is repeated when it took too long", async () => {
    let calls = 0;
    const reward: RewardFunction = () => {
      calls += 1;
      return calls === 1 ? new Promise(() => {}) : 1;
    };
    const { values } = await scorer(reward).score(items(1), { ...options, retries: 1, timeLimit: 30 });
    expect(values).toEqual([[1]]);
  });

  test.each<[string, unknown, number]>([
    ["an error of this package", new VlmR1Error("ERR_DATA", "bad row"), 1],
    ["but its ERR_NETWORK", new VlmR1Error("ERR_NETWORK", "down"), 3],
  ])("is not repeated for what will not change: %s", async (_, error, expected) => {
    const { reward, calls } = failing(error, 9);
    await expect(scorer(reward).score(items(1), { ...options, retries: 2 })).rejects.toThrow();
    expect(calls).toHaveLength(expected);
  });

  test("is not repeated for a value that is none", async () => {
    let calls = 0;
    const reward: RewardFunction = () => {
      calls += 1;
      return Number.NaN;
    };
    await expect(scorer(reward).score(items(1), { ...options, retries: 2 })).rejects.toThrow(/NaN/);
    expect(calls).toBe(1);
  });
});

test("an interruption ends pauses and calls that wait for their turn", async () => {
  const controller = new AbortController();
  let calls = 0;
  const reward: RewardFunction = () => {
    calls += 1;
    throw new Error("down");
  };
  const running = scorer(reward).score(items(4), {
    ...options,
    retries: 5,
    retryPause: 60_000,
    concurrency: 1,
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(new Error("enough")), 20);
  await expect(running).rejects.toThrow("enough");
  expect(calls).toBeLessThanOrEqual(4 + 1);
});

test("who still waits for a turn when the batch is given up is never called", async () => {
  const controller = new AbortController();
  const called: string[] = [];
  const reward: RewardFunction = (completion) => {
    called.push(completion);
    if (called.length === 2) controller.abort(new Error("Ctrl-C"));
    return new Promise(() => undefined);
  };
  const limits = { ...options, concurrency: 1, timeLimit: 30, signal: controller.signal };
  await expect(scorer(reward).score(items(50), limits)).rejects.toThrow("Ctrl-C");
  expect(called).toEqual(["0", "1"]);
});
