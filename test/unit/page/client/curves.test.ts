import { describe, expect, it } from "vitest";
import { withUniqueNames } from "../../../../lib/page/client/base/store.js";
import { catalogOf } from "../../../../lib/page/client/charts/catalog.js";
import { chartData, summaryOf, valueAt } from "../../../../lib/page/client/charts/series.js";
import { smooth } from "../../../../lib/page/client/charts/smooth.js";
import { addRow, applyChange } from "../../../../lib/page/client/live/apply.js";
import type { Columns, PageData } from "../../../../lib/page/page-data.js";
import { completion, pageData, pageRun } from "../../../support/page-data.js";

const specOf = (data: PageData, id: string) => {
  const spec = catalogOf(data.runs).main.find((one) => one.id === id);
  if (!spec) throw new Error(`no chart ${id}`);
  return spec;
};

describe("smooth", () => {
  it("starts at the first value and leaves a constant as it is", () => {
    expect(smooth([3, 3, null, 3], 0.9).map((value) => value && Math.round(value * 1e9) / 1e9)).toEqual([
      3,
      3,
      null,
      3,
    ]);
    expect(smooth([1, 5], 0)).toEqual([1, 5]);
    // (0.5 · 1 · 0.5 + 0.5 · 4) / 0.75
    expect(smooth([1, 4], 0.5)).toEqual([1, 3]);
  });
});

describe("catalogOf", () => {
  it("has a chart for every number of a run, once", () => {
    const { main, more } = catalogOf(pageData().runs);
    expect(main.map(({ id }) => id)).toEqual([
      ...["reward", "components", "held-out", "loss", "length", "clipped", "entropy", "kl", "grad-norm"],
      ...["no-signal", "clip-ratio", "learning-rate", "step-time"],
    ]);
    expect(more.map(({ title }) => title)).toEqual(["rewards/content/std", "num_tokens"]);
  });

  it("gives every reward a chart of its own where several runs are compared", () => {
    const ids = catalogOf([pageRun(), pageRun()]).main.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(["reward-content", "reward-format"]));
  });

  it("shows a supervised run, which has no rewards", () => {
    const steps: Columns = { step: [1, 2], values: { loss: [2, 1], entropy: [1, 0.5], learning_rate: [null, null] } };
    const run = pageRun({ objective: "sft", steps, evaluations: { step: [2], values: { eval_loss: [1.1] } } });
    expect(catalogOf([run]).main.map(({ id }) => id)).toEqual(["loss", "entropy"]);
  });
});

describe("chartData", () => {
  it("puts evaluations between the steps, and a band around the reward", () => {
    const steps: Columns = { step: [1, 2, 3], values: { reward: [1, 2, 4], reward_std: [0.5, 0.5, 1] } };
    const data = pageData({
      runs: [pageRun({ steps, evaluations: { step: [0, 2], values: { eval_reward: [1, 3] } } })],
    });
    const { steps: at, series } = chartData(specOf(data, "reward"), data.runs, 0);
    expect(at).toEqual([0, 1, 2, 3]);
    expect(series.map(({ raw }) => raw)).toEqual([
      [undefined, 1, 2, 4],
      [1, undefined, 3, undefined],
    ]);
    expect(series[0]?.band).toEqual({ low: [undefined, 0.5, 1.5, 3], high: [undefined, 1.5, 2.5, 5] });
    expect(summaryOf(series[0]?.raw ?? [])).toEqual({ first: 1, last: 4, min: 1, max: 4 });
    expect(valueAt(series[1]?.raw ?? [], 1)).toBe(1);
    expect(valueAt(series[0]?.raw ?? [], 0)).toBeUndefined();
  });

  it("tells runs of one name apart", () => {
    const { runs } = withUniqueNames(pageData({ runs: [pageRun({ name: "a" }), pageRun({ name: "a" })] }));
    expect(runs.map(({ name }) => name)).toEqual(["a", "a (2)"]);
  });

  it("gives runs different colours and dashes", () => {
    const data = pageData({ runs: [pageRun({ name: "a" }), pageRun({ name: "b" })] });
    const { series } = chartData(specOf(data, "entropy"), data.runs, 0.5);
    expect(series.map(({ label, colour, dash, band }) => [label, colour, dash, band])).toEqual([
      ["a", 0, 0, undefined],
      ["b", 1, 1, undefined],
    ]);
  });
});

describe("live changes", () => {
  it("adds steps, forgets those from before a resume, and fills what was not measured", () => {
    const columns: Columns = { step: [1, 2, 3], values: { reward: [1, 2, 3] } };
    addRow(columns, 2, { reward: 9, kl: 0.1 });
    addRow(columns, 3, { kl: 0.2 });
    expect(columns).toEqual({ step: [1, 2, 3], values: { reward: [1, 9, null], kl: [null, 0.1, 0.2] } });
  });

  it("stays bounded", () => {
    const data = pageData();
    const [run] = data.runs;
    for (let step = 121; step < 20_000; step += 1) addRow(run!.steps, step, { reward: step });
    expect(run!.steps.step.length).toBeLessThanOrEqual(8000);
    expect(run!.steps.step.at(-1)).toBe(19_999);
    for (const column of Object.values(run!.steps.values)) expect(column).toHaveLength(run!.steps.step.length);
    for (let index = 0; index < 100; index += 1)
      applyChange(
        data,
        "completions",
        Array.from({ length: 10 }, () => completion(1, index)),
      );
    expect(run!.completions).toHaveLength(500);
    expect(run!.completions[0]?.id).toBe("food-99");
  });

  it("takes the state and the learning rate", () => {
    const data = pageData({ kind: "dashboard", live: { canControl: true, learningRate: 1 } });
    expect(applyChange(data, "status", { status: "paused", step: 7, learningRate: 2e-6 })).toEqual(["status"]);
    expect(data.runs[0]).toMatchObject({ status: "paused", step: 7 });
    expect(data.live?.learningRate).toBe(2e-6);
    expect(applyChange(pageData({ runs: [] }), "warning", { step: 1, message: "" })).toEqual([]);
  });
});
