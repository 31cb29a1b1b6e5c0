import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromSystem } from "../errors/index.js";
import type { Metrics, Reporter, RunStart, StepReport } from "./reporter.js";

/**
 * Writes `metrics.jsonl` (a line per step and per evaluation) and `completions.jsonl` (a line per completion) into the
 * run's folder. When a run goes on from a checkpoint, lines of later steps are dropped first: they are written again.
 */
export class JsonlReporter implements Reporter {
  private readonly metricsPath: string;
  private readonly completionsPath: string;

  constructor(
    directory: string,
    private readonly options: { completions: boolean },
  ) {
    this.metricsPath = join(directory, "metrics.jsonl");
    this.completionsPath = join(directory, "completions.jsonl");
  }

  async onStart({ firstStep, outputDir }: RunStart): Promise<void> {
    await mkdir(outputDir, { recursive: true });
    await keepUntil(this.metricsPath, firstStep);
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
    await append(this.metricsPath, line({ step, ...metrics }));
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

/** Drops the lines of steps after `lastStep`, and a last line that was torn. */
async function keepUntil(path: string, lastStep: number): Promise<void> {
  const lines = lastStep === 0 ? [] : (await readOrEmpty(path)).split("\n");
  const kept = lines.filter((text) => {
    const step = stepOf(text);
    return step !== undefined && step <= lastStep;
  });
  await writeFile(path, kept.map((text) => `${text}\n`).join(""));
}

function stepOf(text: string): number | undefined {
  try {
    const { step } = JSON.parse(text) as { step?: unknown };
    return typeof step === "number" ? step : undefined;
  } catch {
    return undefined;
  }
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
