import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { toSnake } from "../../../lib/config/names.js";
import { grpoSchema } from "../../../lib/config/train-schema.js";
import type { Metrics } from "../../../lib/report/index.js";
import { Watch } from "../../../lib/trainer/watch.js";
import { SIGNS, type SignName } from "../../../lib/trainer/watch-signs.js";
import { type Curve, healthy, OPTIONS, STEPS, TROUBLES } from "../../support/curves.js";

const names = Object.keys(SIGNS) as SignName[];

function observe(curve: Curve, steps = STEPS, watch = new Watch(OPTIONS)): string[] {
  return Array.from({ length: steps }, (_, index) => watch.observe(index + 1, curve(index + 1))).flat();
}

/** A run of the food example by the numbers that it had: test/golden/food_history.json. */
function observeRun(name: string, learningRate: number): string[] {
  const path = new URL("../../golden/food_history.json", import.meta.url);
  const runs = JSON.parse(readFileSync(path, "utf8")) as Record<string, Record<string, (number | null)[]>>;
  const metrics = Object.entries(runs[name]!);
  const curve: Curve = (step) =>
    Object.fromEntries(metrics.map(([metric, values]) => [metric, values[step - 1] ?? Number.NaN]));
  const options = { ...OPTIONS, learningRate, beta: 0, maxCompletionLength: 48 };
  return observe(curve, metrics[0]![1].length, new Watch(options));
}

describe("a run that goes well", () => {
  test("hears nothing, however long it is", () => {
    expect(observe(healthy, 2000)).toEqual([]);
  });

  test("such as the food example, with the numbers that it had", () => {
    expect(observeRun("food", 2e-4)).toEqual([]);
  });

  test("supervised training has none of these metrics", () => {
    expect(observe((step) => ({ loss: 1 / step, grad_norm: 1, learning_rate: 1e-5 }))).toEqual([]);
  });

  test("what is no number is left out", () => {
    const holes: Curve = (step) =>
      step % 3 === 0 ? Object.fromEntries(Object.keys(healthy(step)).map((name) => [name, Number.NaN])) : healthy(step);
    expect(observe(holes, 600)).toEqual([]);
  });
});

test("the food example with 25 times its learning rate hears what happens to it", () => {
  const said = observeRun("too_fast", 5e-3);
  expect(said.map((text) => text.slice(0, 60))).toEqual([
    "step 38: 91 % of the completions reach max_completion_length",
    "step 41: the reward has fallen from 1.64 to 0.0909 and stays",
    "step 59: in 99 % of the groups all completions have the same",
  ]);
  expect(said[1]).toContain("lower learning_rate (0.005) to 0.00167, and set beta (0) to 0.04");
});

describe("each sign is said once, by the text in docs/guards.md", () => {
  const guide = readFileSync(new URL("../../../docs/guards.md", import.meta.url), "utf8");

  test.each(names)("%s", (name) => {
    const said = observe(TROUBLES[name]);
    expect(said).toHaveLength(1);
    expect(guide).toContain(`| \`${name}\` | ${said[0]} |`);
  });

  test.each(names)("%s names options that exist", (name) => {
    const fields = new Set([...Object.keys(grpoSchema.shape).map(toSnake), "dr_grpo"]);
    const words = observe(TROUBLES[name]).flatMap((text) => text.match(/[a-z]+(_[a-z]+)+/g) ?? []);
    expect(words.length).toBeGreaterThan(0);
    expect(words.filter((word) => !fields.has(word))).toEqual([]);
  });

  test("and no other is listed there", () => {
    const listed = [...guide.matchAll(/^\| `(\w+)` \| step /gm)].map(([, name]) => name);
    expect(listed).toEqual(names);
  });
});

describe("hysteresis", () => {
  const clipped = (share: (step: number) => number): Curve => {
    return (step) => ({ ...healthy(step), "clip_ratio/region_mean": share(step) });
  };

  test("an episode that is not over is not said again", () => {
    // Up and down over the threshold of 0.2, never below 0.1.
    expect(
      observe(
        clipped((step) => (Math.floor(step / 40) % 2 === 0 ? 0.3 : 0.15)),
        800,
      ),
    ).toHaveLength(1);
  });

  test("after a recovery it is", () => {
    expect(
      observe(
        clipped((step) => (Math.floor(step / 100) % 2 === 0 ? 0.3 : 0.02)),
        800,
      ),
    ).toHaveLength(4);
  });

  test("a short outburst is nothing", () => {
    expect(observe(clipped((step) => (step > 50 && step < 56 ? 0.3 : 0.02)))).toEqual([]);
  });

  test("gradient spikes close to each other are one", () => {
    const spiky: Curve = (step) => ({ ...healthy(step), grad_norm: [100, 104, 108].includes(step) ? 50 : 0.4 });
    expect(observe(spiky)).toHaveLength(1);
  });
});

describe("what a sign needs", () => {
  const said = (changes: Curve) => observe((step) => ({ ...healthy(step), ...changes(step) }));

  test("a reward that differs in one step is not dead", () => {
    const dead = TROUBLES.dead_reward;
    const once: Curve = (step) => ({ ...dead(step), ...(step === 3 ? { reward: 0.1, reward_std: 0.2 } : {}) });
    // Then it is the share of groups without a difference that is said; and one lucky step is no height to fall from.
    expect(observe(once)).toEqual([expect.stringMatching(/^step 32: in 100 % of the groups/)]);
  });

  test("rewards that all differ alike between questions are not dead either", () => {
    expect(said(() => ({ reward: 1, reward_std: 0.5 }))).toEqual([]);
  });

  test("a KL term that is not measured says nothing", () => {
    const { kl: _, ...rest } = healthy(1);
    expect(observe(() => rest as Metrics).join()).toBe("");
  });

  test("answers of a few words may become shorter", () => {
    expect(said((step) => ({ "completions/mean_length": step < 50 ? 12 : 2 }))).toEqual([]);
  });

  test("without a reference the advice is to set beta", () => {
    const [text] = observe(TROUBLES.reward_collapse, STEPS, new Watch({ ...OPTIONS, beta: 0 }));
    expect(text).toContain("set beta (0) to 0.04");
  });

  test("with a learning rate that was changed on the way, advice is about that", () => {
    const watch = new Watch({ ...OPTIONS, learningRate: 3e-3 });
    const curve = TROUBLES.reward_collapse;
    const said = Array.from({ length: STEPS }, (_, index) => watch.observe(index + 1, curve(index + 1), 6e-4)).flat();
    expect(said[0]).toContain("lower learning_rate (0.0006) to 0.0002");
  });

  test("steps without a gradient do not make the next one a spike", () => {
    expect(said((step) => ({ grad_norm: step % 2 === 0 ? 0 : 0.4 }))).toEqual([]);
  });
});

describe("a run that goes on", () => {
  test.each(names)("hears of %s as one that was never interrupted", (name) => {
    const whole = observe(TROUBLES[name]);
    for (const stop of [1, 15, 60, 119, 190]) {
      const first = new Watch(OPTIONS);
      const before = observe(TROUBLES[name], stop, first);
      const second = new Watch(OPTIONS);
      second.restore(JSON.parse(JSON.stringify(first.state())));
      const after = Array.from({ length: STEPS - stop }, (_, index) =>
        second.observe(stop + index + 1, TROUBLES[name](stop + index + 1)),
      ).flat();
      expect([...before, ...after]).toEqual(whole);
    }
  });

  test("refuses what is no state", () => {
    expect(() => new Watch(OPTIONS).restore({ ...new Watch(OPTIONS).state(), steps: "3" })).toThrow(
      "watch: expected the state of an earlier one, steps is something else",
    );
  });

  test("its state is its own", () => {
    const watch = new Watch(OPTIONS);
    watch.observe(1, healthy(1));
    const state = watch.state();
    watch.observe(2, healthy(2));
    expect(state.steps).toBe(1);
  });
});
