import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PageCompletion, PageRun } from "../../../../lib/page/page-data.js";
import {
  type Change,
  completed,
  evaluated,
  MOST_COMPLETIONS,
  statusIs,
  stepDone,
  valuesOf,
  warned,
} from "../../../../lib/page/server/live-run.js";
import { emptyRun } from "../../../support/page.js";

const completion = (step: number, id: string): PageCompletion => ({
  ...{ step, id, pictures: [], question: "?", solution: "", completion: id, reward: 1, rewards: {} },
  ...{ advantage: 0, tokens: 1, finishReason: "stop" },
});
const runOf = (...changes: Change[]): PageRun => {
  const run = emptyRun();
  for (const change of changes) change(run);
  return run;
};
const step = (number: number, values: Record<string, number | null> = { reward: number }) =>
  stepDone({ step: number, totalSteps: 9, values });

describe("a run that goes on", () => {
  test("has a row per step; names that come later are null before", () => {
    const run = runOf(step(1), step(2, { kl: 0.5 }), evaluated({ step: 2, values: { eval_reward: 1 } }), step(3));
    expect(run.steps).toEqual({ step: [1, 2, 3], values: { reward: [1, null, 3], kl: [null, 0.5, null] } });
    expect(run.evaluations).toEqual({ step: [2], values: { eval_reward: [1] } });
    expect(run).toMatchObject({ step: 3, totalSteps: 9 });
  });

  test("keeps the newest completions and warnings", () => {
    const many = Array.from({ length: 40 }, (_, n) => completed(Array.from({ length: 16 }, () => completion(n, "a"))));
    const run = runOf(...many, warned({ step: 1, message: "a" }), warned({ step: 1, message: "b" }));
    expect(run.completions).toHaveLength(MOST_COMPLETIONS);
    expect(run.completions[0]?.step).toBe(39);
    expect(run.completions.at(-1)?.step).toBe(8);
    expect(run.warnings.map(({ message }) => message)).toEqual(["a", "b"]);
  });

  test("shows what a step had that was begun anew once", () => {
    const run = runOf(
      completed([completion(1, "a")]),
      completed([completion(2, "b")]),
      completed([completion(2, "c")]),
    );
    expect(run.completions.map(({ id }) => id)).toEqual(["c", "a"]);
  });

  test("is thinned where it is long, and keeps what stands out", () => {
    const peak = 1234;
    const run = runOf(...Array.from({ length: 4001 }, (_, n) => step(n + 1, { reward: n === peak ? 100 : n % 2 })));
    expect(run.steps.step.length).toBeLessThanOrEqual(2000);
    expect([run.steps.step[0], run.steps.step.at(-1)]).toEqual([1, 4001]);
    expect(run.steps.values.reward?.[run.steps.step.indexOf(peak + 1)]).toBe(100);
    for (const column of Object.values(run.steps.values)) expect(column).toHaveLength(run.steps.step.length);
  });

  test("never goes back in its steps by its status", () => {
    expect(runOf(step(3), statusIs({ status: "paused", step: 2 }))).toMatchObject({ status: "paused", step: 3 });
  });

  test("is the same whether it hears of a thing once or twice", () => {
    const values = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.option(fc.integer(), { nil: null }));
    const change = fc.oneof(
      fc.record({ step: fc.nat(6), values }).map((one) => evaluated(one)),
      fc.record({ step: fc.nat(6), values }).map((one) => stepDone({ ...one, totalSteps: 9 })),
      fc.record({ step: fc.nat(6), message: fc.constantFrom("x", "y") }).map((one) => warned(one)),
      fc.tuple(fc.nat(6), fc.constantFrom("x", "y")).map(([at, id]) => completed([completion(at, id)])),
    );
    fc.assert(
      fc.property(fc.array(change), change, (before, last) => {
        const run = runOf(...before, last);
        expect(runOf(...before, last, last)).toEqual(run);
        for (const { step: steps, values: columns } of [run.steps, run.evaluations]) {
          expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
          for (const column of Object.values(columns)) expect(column).toHaveLength(steps.length);
        }
      }),
    );
  });

  test("has null for numbers that are none, and no texts among its numbers", () => {
    const metrics = { a: 1, b: Number.NaN, c: null, d: "text", e: Number.POSITIVE_INFINITY };
    expect(valuesOf(metrics)).toEqual({ a: 1, b: null, c: null, e: null });
  });
});
