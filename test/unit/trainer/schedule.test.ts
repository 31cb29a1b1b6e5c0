import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { VlmR1Error } from "../../../lib/errors/index.js";
import {
  checkSchedule,
  learningRateAt,
  type ScheduleKind,
  type ScheduleOptions,
} from "../../../lib/trainer/schedule.js";

interface Golden {
  learning_rate: number;
  second_learning_rate: number;
  cases: {
    kind: ScheduleKind;
    warmup_steps: number;
    total_steps: number;
    kwargs: Record<string, number | string>;
    rates: number[];
    second: number[];
  }[];
}

/** scripts/golden/make_schedules.py */
const golden = JSON.parse(
  readFileSync(new URL("../../golden/schedules.json", import.meta.url), "utf8"),
) as unknown as Golden;

/** A cosine may differ in its last bit from one machine to the next. */
const close = (got: number, wanted: number) => Math.abs(got - wanted) <= 1e-14 * golden.learning_rate;

describe("schedules give the learning rates of transformers", () => {
  test.each(golden.cases)("$kind, $warmup_steps of $total_steps steps, $kwargs", (given) => {
    const { kind, kwargs, warmup_steps: warmupSteps, total_steps: totalSteps } = given;
    const options = { kind, kwargs, warmupSteps, totalSteps, learningRate: golden.learning_rate };
    const rates = given.rates.map((_, step) => learningRateAt(step, options));
    expect(rates.map((rate, step) => (close(rate, given.rates[step]!) ? given.rates[step] : rate))).toEqual(
      given.rates,
    );
    const second = {
      ...options,
      learningRate: golden.second_learning_rate,
      baseLearningRate: golden.learning_rate,
    };
    const others = given.second.map((_, step) => learningRateAt(step, second));
    expect(others.map((rate, step) => (close(rate, given.second[step]!) ? given.second[step] : rate))).toEqual(
      given.second,
    );
  });

  test("all kinds are covered", () => {
    expect(new Set(golden.cases.map(({ kind }) => kind)).size).toBe(9);
  });
});

describe("the warm-up", () => {
  const rates = (kind: ScheduleKind, more: Partial<ScheduleOptions>) =>
    Array.from({ length: 10 }, (_, step) => learningRateAt(step, { kind, learningRate: 1, totalSteps: 10, ...more }));

  test("constant has one where it is asked for, unlike in transformers", () => {
    expect(rates("constant", { warmupSteps: 2 }).slice(0, 4)).toEqual([0, 0.5, 1, 1]);
    expect(rates("constant", { warmupSteps: 4 })).toEqual(rates("constant_with_warmup", { warmupSteps: 4 }));
  });

  test("its ratio is rounded up to whole steps, and steps win over it", () => {
    expect(rates("constant", { warmupRatio: 0.11 })).toEqual(rates("constant", { warmupSteps: 2 }));
    expect(rates("linear", { warmupRatio: 0.9, warmupSteps: 1 })).toEqual(rates("linear", { warmupSteps: 1 }));
  });
});

describe("settings that do not fit are refused by their names", () => {
  const refusal = (kind: string, kwargs: Record<string, number | string>, learningRate = 1e-4) => {
    try {
      checkSchedule({ kind: kind as ScheduleKind, learningRate, kwargs });
    } catch (error) {
      const { code, message, hint } = error as VlmR1Error;
      expect(code).toBe("ERR_CONFIG");
      return hint === undefined ? message : `${message}. ${hint}`;
    }
    return "nothing";
  };

  test.each<[string, Record<string, number | string>, string]>([
    [
      "cosine_with_restart",
      {},
      "lr_scheduler_type: expected one of constant, constant_with_warmup, linear, cosine, cosine_with_restarts, " +
        "cosine_with_min_lr, polynomial, inverse_sqrt, warmup_stable_decay, got cosine_with_restart. " +
        "Did you mean cosine_with_restarts?",
    ],
    ["linear", { power: 2 }, "lr_scheduler_kwargs.power: lr_scheduler_type linear takes no settings"],
    [
      "polynomial",
      { pover: 2 },
      "lr_scheduler_kwargs.pover: lr_scheduler_type polynomial takes one of lr_end, power. Did you mean power?",
    ],
    ["cosine", { num_cycles: "2" }, 'lr_scheduler_kwargs.num_cycles: expected a number above 0, got "2"'],
    ["cosine", { num_cycles: 0 }, "lr_scheduler_kwargs.num_cycles: expected a number above 0, got 0"],
    [
      "cosine",
      { num_cycles: 1, numCycles: 2 },
      "lr_scheduler_kwargs.num_cycles: expected once, got two spellings of it",
    ],
    [
      "inverse_sqrt",
      { timescale: 1.5 },
      "lr_scheduler_kwargs.timescale: expected a whole number of steps, at least 1, got 1.5",
    ],
    [
      "cosine_with_min_lr",
      {},
      "lr_scheduler_kwargs: cosine_with_min_lr expected one of min_lr and min_lr_rate, got neither",
    ],
    [
      "cosine_with_min_lr",
      { min_lr: 1e-5, min_lr_rate: 0.1 },
      "lr_scheduler_kwargs: cosine_with_min_lr expected one of min_lr and min_lr_rate, got both",
    ],
    [
      "cosine_with_min_lr",
      { min_lr: 0.1 },
      "lr_scheduler_kwargs.min_lr: expected at most learning_rate, which is 0.0001, got 0.1",
    ],
    [
      "polynomial",
      { lr_end: 1 },
      "lr_scheduler_kwargs.lr_end: expected less than learning_rate, which is 0.0001, got 1",
    ],
    [
      "warmup_stable_decay",
      {},
      "lr_scheduler_kwargs.num_decay_steps: lr_scheduler_type warmup_stable_decay needs it: " +
        "expected a whole number of steps, at least 0, got nothing",
    ],
    [
      "warmup_stable_decay",
      { num_decay_steps: 2, decay_type: "sqrt" },
      'lr_scheduler_kwargs.decay_type: expected linear, cosine, 1-sqrt, got "sqrt"',
    ],
  ])("%s %o", (kind, kwargs, expected) => {
    expect(refusal(kind, kwargs)).toBe(expected);
  });

  test("polynomial's own end may be above a small learning rate", () => {
    expect(refusal("polynomial", {}, 1e-8)).toBe(
      "lr_scheduler_kwargs.lr_end: expected less than learning_rate, which is 1e-8, got its default of 1e-7",
    );
  });

  test("camelCase is the same name", () => {
    const options = { kind: "cosine" as const, learningRate: 1, totalSteps: 8 };
    expect(learningRateAt(3, { ...options, kwargs: { numCycles: 2 } })).toBe(
      learningRateAt(3, { ...options, kwargs: { num_cycles: 2 } }),
    );
  });
});
