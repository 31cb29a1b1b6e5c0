import { join } from "node:path";
import type { Row } from "../../lib/data/datasets/index.js";
import { Engine } from "../../lib/engine/index.js";
import { Processor } from "../../lib/processing/index.js";
import type { StepReport } from "../../lib/report/index.js";
import { type GrpoTrainerOptions, Trainer } from "../../lib/trainer/index.js";
import { type BanditOptions, banditAddon } from "./bandit-addon.js";
import { fakeAddon } from "./fake-addon.js";
import { goldenPath } from "./golden.js";

export const MODEL = goldenPath("qwen2_5_vl_a");

export const ANSWERS = [
  "<think>a</think><answer>apple 52</answer>",
  "<think>b</think><answer>pear 57</answer>",
  "apple",
  "<answer>apple 52</answer>",
];

/** Text-only rows that all want the first answer. */
export function rows(count: number): Row[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `row-${index}`,
    messages: [{ role: "user", content: `question ${index}` }],
    images: [],
    solution: ANSWERS[0] as string,
    raw: {},
  }));
}

/** Tokens of the answers, as the trainer's own processor makes them. */
export async function answerTokens(): Promise<Int32Array[]> {
  const engine = await Engine.open({ addon: fakeAddon() });
  const processor = await Processor.load(MODEL, engine);
  return ANSWERS.map((answer) => processor.answerTokens(answer));
}

export async function banditEngine(options: Omit<BanditOptions, "answers"> = {}): Promise<Engine> {
  return Engine.open({ addon: banditAddon({ answers: await answerTokens(), ...options }) });
}

/** Settings of a short run; everything may be overridden. */
export function banditRun(engine: Engine, outputDir: string, more: Partial<GrpoTrainerOptions> = {}): Trainer {
  return new Trainer({
    model: MODEL,
    dataset: rows(11),
    engine,
    outputDir,
    promptsPerStep: 4,
    numGenerations: 4,
    maxSteps: 8,
    maxCompletionLength: 64,
    learningRate: 0.5,
    seed: 3,
    saveSteps: 0,
    ...more,
  });
}

export async function runAll(trainer: Trainer, signal?: AbortSignal): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  for await (const report of trainer.run({ signal })) reports.push(report);
  return reports;
}

/** A report without what a clock says. */
export function timeless({ metrics, ...report }: StepReport): unknown {
  const { step_time, ...rest } = metrics;
  return { ...report, metrics: rest };
}

export function checkpointFile(outputDir: string, step: number, name: string): string {
  return join(outputDir, "checkpoints", `step-${String(step).padStart(6, "0")}`, name);
}
