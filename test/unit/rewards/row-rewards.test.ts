import { describe, expect, test } from "vitest";
import { accuracy, cosine, detection, iou, type RewardFunction } from "../../../lib/rewards/index.js";
import { named, nameRewards } from "../../../lib/rewards/named.js";
import { Scorer } from "../../../lib/rewards/score.js";
import { rewardRow, scorable } from "../../support/rewards.js";

const options = { step: 0, evaluation: false, maxCompletionLength: 100, timeLimit: 1000 };
const one = named("one", () => 1);
const two = named("two", () => 2);
const scorer = (...functions: RewardFunction[]) => new Scorer(nameRewards(functions));
const rowOf = (id: string, raw: Record<string, unknown>) => ({ ...rewardRow("", raw), id });

describe("a row that names its rewards", () => {
  test.each<[Record<string, unknown>, (number | null)[]]>([
    [{}, [1, 2]],
    [{ rewards: null }, [1, 2]],
    [{ rewards: ["two"] }, [null, 2]],
    [{ reward_funcs: ["one"] }, [1, null]],
    [{ rewards: "one" }, [1, null]],
    [{ rewards: "one, two" }, [1, 2]],
    [{ rewards: ["one"], reward_funcs: ["two"] }, [1, null]],
  ])("%j", async (raw, expected) => {
    const { values, failures } = await scorer(one, two).score([scorable(rowOf("a", raw), "x")], options);
    expect(values).toEqual([expected]);
    expect(failures).toEqual([]);
  });

  test("does not call the others, nor count that as their failure", async () => {
    const failing = named("failing", () => {
      throw new Error("no");
    });
    const judge = scorer(one, failing);
    for (let batch = 0; batch < 12; batch += 1) {
      await judge.score([scorable(rowOf("a", { rewards: ["one"] }), "x")], options);
    }
    await expect(judge.score([scorable(rowOf("a", {}), "x")], options)).rejects.toThrow(/fails always; last: threw/);
  });
});

describe("the check of rows at the start", () => {
  test("passes rows of known names", () => {
    scorer(one, accuracy()).checkRows([
      rowOf("a", { rewards: ["one"] }),
      rowOf("b", { accu_reward_method: "mcq" }),
      rowOf("c", {}),
    ]);
  });

  test("lists the first rows that name others, with the nearest name", () => {
    const rows = Array.from({ length: 8 }, (_, index) => rowOf(`r${index}`, { rewards: ["acuracy"] }));
    expect(() => scorer(one, accuracy()).checkRows(rows)).toThrowError(
      expect.objectContaining({
        code: "ERR_DATA",
        message: expect.stringMatching(/8 rows.*r0: .*"acuracy", did you mean "accuracy"\?.*r4.*… and 3 more/s),
        hint: expect.stringContaining("one, accuracy"),
      }),
    );
  });

  test.each<[Record<string, unknown>, RegExp]>([
    [{ rewards: 3 }, /expected names of rewards, got 3/],
    [{ rewards: [] }, /expected names of rewards/],
    [{ rewards: ["one", 2] }, /expected names of rewards/],
    [{ accu_reward_method: "mcp" }, /accu_reward_method: expected one of default/],
    [{ accu_reward_method: "llm" }, /judge/],
  ])("refuses %j", (raw, message) => {
    expect(() => scorer(one).checkRows([rowOf("a", raw)])).toThrowError(message);
  });

  test("refuses to compare boxes in pictures that are moved at random", () => {
    const check = (reward: RewardFunction, raw = {}) => scorer(reward).checkRows([rowOf("a", raw)], { augment: true });
    check(accuracy());
    for (const reward of [iou(), detection(), accuracy({ method: "map" }), cosine({ reward: iou() })]) {
      expect(() => check(reward)).toThrowError(expect.objectContaining({ code: "ERR_CONFIG" }));
    }
    expect(() => check(accuracy(), { accu_reward_method: "iou" })).toThrowError(/row a/);
    scorer(iou()).checkRows([rowOf("a", {})]);
  });
});
