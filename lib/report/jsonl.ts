import { createReadStream } from "node:fs";
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fromSystem } from "../errors/index.js";
import { replaceFile } from "../files/index.js";
import type { Metrics, Reporter, RunStart, StepReport } from "./reporter.js";

/**
 * Writes `metrics.jsonl` (a line per step and per evaluation) and `completions.jsonl` (a line per completion) into the
 * run's folder. When a run goes on from a checkpoint, lines of later steps are dropped first: they are written again.
 * An evaluation that is made again, of the same weights, has its line already.
 */
export class JsonlReporter implements Reporter {
  private readonly metricsPath: string;
  private readonly completionsPath: string;
  /** Lines of evaluations. */
  private evaluations = new Set<string>();

  constructor(
    directory: string,
    private readonly options: { completions: boolean },
  ) {
    this.metricsPath = join(directory, "metrics.jsonl");
    this.completionsPath = join(directory, "completions.jsonl");
  }

  async onStart({ firstStep, outputDir }: RunStart): Promise<void> {
    await mkdir(outputDir, { recursive: true });
    this.evaluations = new Set(await keepUntil(this.metricsPath, firstStep));
    if (this.options.completions) await keepUntil(this.completionsPath, firstStep);
  }

  async onStep({ step, epoch, metrics, completions }: StepReport): Promise<void> {
    await append(this.metricsPath, line({ step, epoch, ...metrics }));
    if (!this.options.completions || completions.length === 0) return;
    const lines = completions.map(({ finishReason, ...record }) =>
      line({ step, ...record, finish_reason: finishReason }),
    );
    await append(this.completionsPath, lines.join(""));
  }

  async onEvaluation(step: number, metrics: Metrics): Promise<void> {
    const text = line({ step, ...metrics });
    if (this.evaluations.has(text)) return;
    this.evaluations.add(text);
    await append(this.metricsPath, text);
  }
}

async function append(path: string, text: string): Promise<void> {
  try {
    await appendFile(path, text);
  } catch (error) {
    throw fromSystem(error, "write", path, "Free space, and go on from the last checkpoint with --resume.");
  }
}

/** JSON has no NaN: a metric that does not exist in a step is null. */
function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** Characters that are written at once. */
const CHUNK = 1 << 20;
const EVALUATION = /^\{"step":\d+,"eval_/;

/**
 * Drops the lines of steps after `lastStep`, and a last line that was torn; gives those of evaluations that stay. The
 * file is written beside and renamed: a run that is killed here keeps its record.
 */
async function keepUntil(path: string, lastStep: number): Promise<string[]> {
  const evaluations: string[] = [];
  await replaceFile(path, { what: "write", hint: "Free space; the run is as it was." }, async (file) => {
    if (lastStep === 0) return;
    let kept = "";
    for await (const text of linesOf(path)) {
      const step = stepOf(text);
      if (step === undefined || step > lastStep) continue;
      kept += `${text}\n`;
      if (EVALUATION.test(text)) evaluations.push(`${text}\n`);
      if (kept.length < CHUNK) continue;
      await file.appendFile(kept);
      kept = "";
    }
    await file.appendFile(kept);
  });
  return evaluations;
}

function stepOf(text: string): number | undefined {
  try {
    const { step } = JSON.parse(text) as { step?: unknown };
    return typeof step === "number" ? step : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The lines of a file that may be larger than a string can be; none where there is no file. Node's readline also ends
 * lines at U+2028, which JSON may hold.
 */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = "";
  try {
    for await (const chunk of createReadStream(path, "utf8")) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw fromSystem(error, "read", path);
  }
  if (rest !== "") yield rest;
}
