import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { fromSystem } from "../errors/index.js";
import { makeFolder, replaceFile } from "../files/index.js";
import { linesOf } from "./json-lines.js";
import type { Metrics, Reporter, RunStart, StepReport } from "./reporter.js";
import { COMPLETIONS_FILE, METRICS_FILE, WARNINGS_FILE } from "./run-files.js";

/**
 * Writes `metrics.jsonl` (a line per step and per evaluation), `completions.jsonl` (a line per completion) and
 * `warnings.jsonl` (a line per warning, with the steps that were done by then) into the run's folder. When a run goes on
 * from a checkpoint, lines of later steps are dropped first: they are written again. An evaluation that is made again,
 * of the same weights, has its line already, and so has a warning of the same step.
 */
export class JsonlReporter implements Reporter {
  private readonly metricsPath: string;
  private readonly completionsPath: string;
  private readonly warningsPath: string;
  /** Lines of evaluations. */
  private evaluations = new Set<string>();
  /** Lines of warnings. */
  private warnings = new Set<string>();
  /** Steps that are done. */
  private step = 0;

  constructor(
    directory: string,
    private readonly options: { completions: boolean },
  ) {
    this.metricsPath = join(directory, METRICS_FILE);
    this.completionsPath = join(directory, COMPLETIONS_FILE);
    this.warningsPath = join(directory, WARNINGS_FILE);
  }

  async onStart({ firstStep, outputDir }: RunStart): Promise<void> {
    await makeFolder(outputDir);
    this.step = firstStep;
    this.evaluations = new Set(await keepUntil(this.metricsPath, firstStep, (text) => EVALUATION.test(text)));
    this.warnings = new Set(await keepUntil(this.warningsPath, firstStep, () => true));
    if (this.options.completions) await keepUntil(this.completionsPath, firstStep);
  }

  async onStep({ step, epoch, metrics, completions }: StepReport): Promise<void> {
    this.step = step;
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

  async onWarning(message: string): Promise<void> {
    const text = line({ step: this.step, message });
    if (this.warnings.has(text)) return;
    this.warnings.add(text);
    // What fails here fails for the metrics too, which ends the run; a warning of that must not be a second error.
    await append(this.warningsPath, text).catch(() => this.warnings.delete(text));
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
 * Drops the lines of steps after `lastStep`, and a last line that was torn; gives those of the others that are `wanted`.
 * The file is written beside and renamed: a run that is killed here keeps its record.
 */
async function keepUntil(path: string, lastStep: number, wanted = (_line: string) => false): Promise<string[]> {
  const found: string[] = [];
  await replaceFile(path, { what: "write", hint: "Free space; the run is as it was." }, async (file) => {
    if (lastStep === 0) return;
    let kept = "";
    for await (const text of linesOf(path)) {
      const step = stepOf(text);
      if (step === undefined || step > lastStep) continue;
      kept += `${text}\n`;
      if (wanted(text)) found.push(`${text}\n`);
      if (kept.length < CHUNK) continue;
      await file.appendFile(kept);
      kept = "";
    }
    await file.appendFile(kept);
  });
  return found;
}

function stepOf(text: string): number | undefined {
  try {
    const { step } = JSON.parse(text) as { step?: unknown };
    return typeof step === "number" ? step : undefined;
  } catch {
    return undefined;
  }
}
