import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { StepResult } from "../../../lib/engine/index.js";
import type { VlmR1Error } from "../../../lib/errors/index.js";
import { Guards, PATIENCE } from "../../../lib/trainer/guards.js";

const fine: StepResult = { gradNorm: 1, gradNormClipped: 1, skipped: false, nonFinite: [], nonFiniteWeights: [] };
const badGradient = { ...fine, gradNorm: Number.NaN, skipped: true, nonFinite: ["a.weight", "b.bias"] };
const badWeight = { ...fine, nonFiniteWeights: ["c.weight"] };

function makeGuards(checkpoint?: string) {
  const warnings: string[] = [];
  const guards = new Guards(() => checkpoint);
  const warn = (message: string) => warnings.push(message);
  return { guards, warnings, warn };
}

function failure(work: () => unknown): VlmR1Error {
  try {
    work();
  } catch (error) {
    return error as VlmR1Error;
  }
  throw new Error("nothing was thrown");
}

const guide = readFileSync(new URL("../../../docs/guards.md", import.meta.url), "utf8");

describe("an update with numbers that are not finite", () => {
  test("is told by its reason, and counted", () => {
    const { guards, warnings, warn } = makeGuards();
    expect(guards.lossIsFinite(0, 0.5, warn)).toBe(true);
    guards.check(0, fine, warn);
    expect(guards.metrics()).toEqual({ num_skipped_updates: 0 });
    expect(guards.lossIsFinite(1, Number.NaN, warn)).toBe(false);
    expect(guards.lossIsFinite(2, Number.NEGATIVE_INFINITY, warn)).toBe(false);
    guards.check(3, badGradient, warn);
    guards.check(4, badWeight, warn);
    expect(guards.metrics()).toEqual({ num_skipped_updates: 4 });
    expect(warnings).toEqual([
      "step 2: the loss is NaN; the update was left out",
      "step 3: the loss is -Infinity; the update was left out",
      "step 4: the gradient is not finite (a.weight, b.bias); the weights were left as they are",
      "step 5: the update would not leave these finite, so they were left as they are: c.weight",
    ]);
    for (const index of [0, 2, 3]) expect(guide).toContain(warnings[index]);
  });

  test("ends the run after ten in a row, whatever their reasons", () => {
    const { guards, warn } = makeGuards("runs/x/checkpoints/step-000100");
    for (let step = 0; step < PATIENCE - 1; step += 1) {
      if (step % 2 === 0) guards.lossIsFinite(step, Number.NaN, warn);
      else guards.check(step, badGradient, warn);
    }
    const { code, message, hint } = failure(() => guards.check(PATIENCE, badGradient, warn));
    expect(code).toBe("ERR_NON_FINITE");
    expect(message).toBe(
      "10 updates in a row were left out for numbers that are not finite, the last one for the gradient of a.weight, b.bias",
    );
    expect(hint).toMatch(
      /^Lower learning_rate to a tenth .* The last good state is runs\/x\/checkpoints\/step-000100; --resume goes on from it\.$/,
    );
    expect(guide).toContain(`${message}\n${hint}`);
  });

  test("without a checkpoint there is none to go back to", () => {
    const { guards, warn } = makeGuards();
    const { message, hint } = failure(() => {
      for (let step = 0; ; step += 1) guards.check(step, badWeight, warn);
    });
    expect(message).toMatch(/the last one for the updated c\.weight$/);
    expect(hint).toMatch(/There is no checkpoint yet: start anew\.$/);
  });

  test("a good update between them begins the count anew", () => {
    const { guards, warn } = makeGuards();
    for (let step = 0; step < 5 * PATIENCE; step += 1)
      guards.check(step, step % PATIENCE === 0 ? fine : badGradient, warn);
    expect(guards.metrics().num_skipped_updates).toBe(45);
  });

  test("a loss that is finite is no good update yet", () => {
    const { guards, warn } = makeGuards();
    const error = failure(() => {
      for (let step = 0; step < PATIENCE; step += 1) {
        guards.lossIsFinite(step, 1, warn);
        guards.check(step, badGradient, warn);
      }
    });
    expect(error.code).toBe("ERR_NON_FINITE");
  });

  test("is remembered by a run that goes on", () => {
    const first = makeGuards();
    for (let step = 0; step < PATIENCE - 1; step += 1) first.guards.check(step, badGradient, first.warn);
    const second = makeGuards();
    second.guards.restore(JSON.parse(JSON.stringify(first.guards.state())));
    expect(second.guards.metrics()).toEqual({ num_skipped_updates: 9 });
    expect(failure(() => second.guards.check(9, badGradient, second.warn)).code).toBe("ERR_NON_FINITE");
    expect(failure(() => second.guards.restore({ inRow: -1 })).code).toBe("ERR_CHECKPOINT");
  });
});
