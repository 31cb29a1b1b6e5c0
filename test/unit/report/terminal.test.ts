import { describe, expect, test } from "vitest";
import { columnsOf, formatDuration, formatTable } from "../../../lib/report/format.js";
import { type RunStart, type StepReport, TerminalReporter } from "../../../lib/report/index.js";

const run: RunStart = {
  objective: "grpo",
  outputDir: "out",
  firstStep: 0,
  totalSteps: 10,
  rows: 5,
  parameters: 3_100_000,
  trainableParameters: 3_100_000,
  maxTokensPerMicrobatch: 2048,
};
const report = (step: number): StepReport => ({
  step,
  totalSteps: 10,
  epoch: step / 5,
  metrics: { reward: step / 10, "completions/mean_length": 31.4, loss: 0.1, step_time: 2 },
  completions: [],
});

function reporter(isTTY: boolean, loggingSteps = 5, columns = 100) {
  let text = "";
  let time = 0;
  const write = (part: string) => {
    text += part;
  };
  const screen = { write, isTTY, columns };
  return {
    terminal: new TerminalReporter({ screen, loggingSteps, now: () => time }),
    text: () => text,
    pass: (milliseconds: number) => {
      time += milliseconds;
    },
  };
}

describe("into a file", () => {
  test("says at once where a profile is, and what it found at the end", () => {
    const { terminal, text } = reporter(false);
    terminal.onStart(run);
    const counts = { calls: 4, total: 60, self: 50, share: 0.5, gflops: 1.5, gigabytes: undefined };
    const entries = [{ thread: "engine" as const, name: "linear", ...counts }];
    terminal.onProfile({ path: "out/trace.json", steps: [2, 4], duration: 100, entries, spans: 9, dropped: 0 });
    terminal.onStep(report(10));
    terminal.onEnd({ status: "finished", step: 10, checkpoint: undefined });
    expect(text().split("\n").slice(1)).toEqual([
      "profile: out/trace.json",
      "10/10  reward 1.000  length 31  0 s left",
      "profile of steps 2–4: 100 ms, 9 spans",
      "span    thread  calls  total ms  self ms  share   GFLOP/s  GB/s",
      "linear  engine      4      60.0     50.0  50.0 %      1.5",
      "the whole trace: out/trace.json (open it in https://ui.perfetto.dev or chrome://tracing)",
      "finished after 10 steps in 0 s",
      "",
    ]);
  });

  test("a line for the first, every Nth and the last step, and no control characters", () => {
    const { terminal, text, pass } = reporter(false, 4);
    terminal.onStart(run);
    for (let step = 1; step <= 10; step += 1) {
      pass(2000);
      terminal.onProgress({ phase: "sampling", fraction: 0.5 });
      terminal.onStep(report(step));
    }
    terminal.onWarning("careful");
    terminal.onEnd({ status: "finished", step: 10, checkpoint: "out/checkpoints/step-000010" });
    expect(text().split("\n")).toEqual([
      "GRPO: 10 steps, 5 rows, 3.1 M parameters, micro-batches of at most 2048 tokens or one group",
      "1/10  reward 0.100  length 31  18 s left",
      "4/10  reward 0.400  length 31  12 s left",
      "8/10  reward 0.800  length 31  4 s left",
      "10/10  reward 1.000  length 31  0 s left",
      "warning: careful",
      "finished after 10 steps in 20 s, checkpoint out/checkpoints/step-000010",
      "",
    ]);
  });

  test("the first line says what is trained", () => {
    const first = (change: Partial<RunStart>) => {
      const { terminal, text } = reporter(false);
      terminal.onStart({ ...run, parameters: 3_754_622_976, ...change });
      return text();
    };
    expect(first({ trainableParameters: 3_085_938_688 })).toBe(
      "GRPO: 10 steps, 5 rows, trains 3.09 B of 3.75 B parameters (82 %), micro-batches of at most 2048 tokens or one group\n",
    );
    expect(first({ trainableParameters: 8_300_000, adapter: { ranks: [16, 16], layers: 252 } })).toBe(
      "GRPO: 10 steps, 5 rows, trains 8.3 M of 3.75 B parameters (0.22 %), LoRA r=16 on 252 layers, micro-batches of at most 2048 tokens or one group\n",
    );
    expect(first({ trainableParameters: 96e6, adapter: { ranks: [8, 16], layers: 1 } })).toContain(
      "(2.6 %), LoRA r=8–16 on 1 layer, micro-batches of at most 2048 tokens or one group\n",
    );
  });

  test("the time left of a resumed run counts its own steps only", () => {
    const { terminal, text, pass } = reporter(false, 1);
    terminal.onStart({ ...run, firstStep: 8 });
    // An evaluation before the first step.
    pass(60_000);
    terminal.onStep(report(9));
    expect(text()).toContain(" 2 s left");
  });
});

describe("on a terminal", () => {
  test("one line is drawn over, at most ten times a second, never wider than the screen", () => {
    const { terminal, text, pass } = reporter(true, 1, 72);
    terminal.onStart(run);
    terminal.onStep(report(1));
    const before = text().length;
    for (let i = 0; i < 50; i += 1) terminal.onProgress({ phase: "sampling", fraction: i / 50 });
    expect(text().length).toBe(before);
    pass(200);
    terminal.onProgress({ phase: "sampling", fraction: 0.9 });
    expect(text().length).toBeGreaterThan(before);
    expect(text().split("\n")).toHaveLength(2);
    for (const drawn of text().split("\r").slice(1)) expect(drawn.replace("\u001b[K", "").length).toBeLessThan(72);
  });

  test("a terminal that does not know its width has a bar too", () => {
    const { terminal, text } = reporter(true, 1, 0);
    terminal.onStart(run);
    terminal.onStep(report(1));
    expect(text()).toContain("1/10  reward 0.100");
  });

  test("a warning gets a line of its own above the bar", () => {
    const { terminal, text } = reporter(true);
    terminal.onStart(run);
    terminal.onStep(report(3));
    terminal.onWarning("careful");
    const lines = text().split("\n");
    expect(lines.at(-2)).toMatch(/warning: careful$/);
    expect(lines.at(-1)).toContain("3/10");
  });
});

test("the end says why it came before the last step", () => {
  const { terminal, text } = reporter(false);
  terminal.onStart(run);
  terminal.onEnd({
    status: "finished",
    step: 4,
    checkpoint: "runs/x/checkpoints/step-000004",
    reason: "early stopped",
  });
  expect(text()).toMatch(
    /finished after 4 steps in \d+ s, early stopped, checkpoint runs\/x\/checkpoints\/step-000004\n$/,
  );
});

test("the end by an error leaves the error to whoever catches it", () => {
  const { terminal, text } = reporter(false);
  terminal.onStart(run);
  terminal.onEnd({ status: "failed", step: 4, checkpoint: undefined, reason: "the disk is full" });
  expect(text()).toMatch(/failed after 4 steps in \d+ s\n$/);
});

test("durations and tables, with wide characters", () => {
  expect([59_400, 61_000, 5_400_000].map(formatDuration)).toEqual(["59 s", "1 min 1 s", "1 h 30 min"]);
  const lines = formatTable([
    ["苹果", "1.5"],
    ["x", "10.5"],
  ]);
  expect(lines).toEqual(["苹果   1.5", "x     10.5"]);
  expect(new Set(lines.map(columnsOf)).size).toBe(1);
});
