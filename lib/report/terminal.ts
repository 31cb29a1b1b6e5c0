import type { DownloadProgress } from "../hub/index.js";
import { DownloadText } from "./download.js";
import { formatDuration, formatNumber, formatShare } from "./format.js";
import { formatProfile, type ProfileReport } from "./profile.js";
import type { Metrics, Progress, Reporter, RunEnd, RunStart, StepReport } from "./reporter.js";

/** The part of a stream that the reporter needs. */
export interface Screen {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TerminalOptions {
  screen: Screen;
  /** Without a terminal: a line every N steps, and for the first and last one. */
  loggingSteps: number;
  now?: () => number;
}

const BAR_WIDTH = 20;
/** A terminal is drawn anew at most this often, in milliseconds. */
const FRAME = 100;

/**
 * One line that is rewritten in place on a terminal (bar, reward, completion length, time left), or plain lines where
 * the output is a file or a pipe.
 */
export class TerminalReporter implements Reporter {
  private run: RunStart | undefined;
  private last: StepReport | undefined;
  private phase: Progress | undefined;
  private profile: ProfileReport | undefined;
  private startedAt = 0;
  /** Milliseconds that the steps of this run took. */
  private stepTime = 0;
  private drawnAt = Number.NEGATIVE_INFINITY;
  private drawn = "";
  private readonly now: () => number;
  private readonly download: DownloadText;

  constructor(private readonly options: TerminalOptions) {
    this.now = options.now ?? (() => performance.now());
    this.download = new DownloadText(this.now);
  }

  onDownload(progress: DownloadProgress): void {
    const { screen } = this.options;
    const milestone = this.download.milestone(progress);
    if (milestone !== undefined) {
      screen.write(this.drawn === "" ? `${milestone}\n` : `\r\u001b[2K${milestone}\n`);
      this.drawn = "";
    } else if (screen.isTTY && this.now() - this.drawnAt >= FRAME) this.draw(this.download.line(progress));
  }

  onDashboard(url: string): void {
    this.print(`dashboard: ${url}`);
  }

  onStart(run: RunStart): void {
    this.run = run;
    this.startedAt = this.now();
    const from = run.firstStep > 0 ? `, from step ${run.firstStep}` : "";
    const objective = run.objective === "grpo" ? "GRPO" : "SFT";
    const batches = `micro-batches of at most ${run.maxTokensPerMicrobatch} tokens or one group`;
    this.print(`${objective}: ${run.totalSteps} steps${from}, ${run.rows} rows, ${trainedPart(run)}, ${batches}`);
  }

  onProgress(progress: Progress): void {
    this.phase = progress;
    if (this.options.screen.isTTY && this.now() - this.drawnAt >= FRAME) this.draw();
  }

  onStep(report: StepReport): void {
    this.last = report;
    this.stepTime += 1000 * (report.metrics.step_time ?? 0);
    this.phase = undefined;
    if (this.options.screen.isTTY) {
      this.draw();
      return;
    }
    const first = (this.run?.firstStep ?? 0) + 1;
    const wanted = report.step % this.options.loggingSteps === 0 || report.step === report.totalSteps;
    if (wanted || report.step === first) this.print(this.summary(report));
  }

  onEvaluation(step: number, metrics: Metrics): void {
    const shown = ["eval_reward", "eval_name_accuracy", "eval_number_accuracy", "eval_format_rate"]
      .filter((name) => Number.isFinite(metrics[name]))
      .map((name) => `${name.slice("eval_".length).replaceAll("_", " ")} ${(metrics[name] as number).toFixed(3)}`);
    this.print(`evaluation after step ${step}: ${shown.join("  ")}`);
  }

  onPause(step: number): void {
    this.print(`paused after step ${step}, until it is continued or stopped`);
  }

  onContinue(step: number): void {
    this.print(`goes on after step ${step}`);
  }

  /** The table comes at the end, where it is seen. */
  onProfile(profile: ProfileReport): void {
    this.profile = profile;
    this.print(`profile: ${profile.path}`);
  }

  onWarning(message: string): void {
    this.print(`warning: ${message}`);
  }

  onEnd({ status, step, checkpoint, reason }: RunEnd): void {
    // The last state of the bar stays on the screen.
    if (this.drawn !== "") this.options.screen.write("\n");
    this.drawn = "";
    const saved = checkpoint === undefined ? "" : `, checkpoint ${checkpoint}`;
    for (const line of this.profile === undefined ? [] : formatProfile(this.profile)) this.print(line);
    // The error of a run that failed is printed by whoever catches it.
    const why = reason === undefined || status === "failed" ? "" : `, ${reason}`;
    this.print(`${status} after ${step} steps in ${formatDuration(this.now() - this.startedAt)}${why}${saved}`);
  }

  /** A line of its own; the bar, if there is one, moves below it. */
  private print(text: string): void {
    const { screen } = this.options;
    if (this.drawn === "") {
      screen.write(`${text}\n`);
      return;
    }
    screen.write(`\r\u001b[2K${text}\n`);
    this.drawn = "";
    this.draw();
  }

  private draw(line = this.bar()): void {
    const text = cut(line, (this.options.screen.columns || 80) - 1);
    this.drawnAt = this.now();
    if (text === this.drawn) return;
    // Overwriting and clearing only the rest of the line, in one write, does not flicker.
    this.options.screen.write(`\r${text}\u001b[K`);
    this.drawn = text;
  }

  private bar(): string {
    const total = this.run?.totalSteps ?? 1;
    const done = this.last?.step ?? this.run?.firstStep ?? 0;
    const filled = Math.round((BAR_WIDTH * done) / total);
    const bar = `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}`;
    const doing = this.phase === undefined ? "" : `  ${this.phase.phase} ${Math.round(100 * this.phase.fraction)} %`;
    return `${bar} ${this.last === undefined ? `${done}/${total}` : this.summary(this.last)}${doing}`;
  }

  private summary(report: StepReport): string {
    const { metrics } = report;
    const parts = [`${report.step}/${report.totalSteps}`];
    if (Number.isFinite(metrics.reward)) parts.push(`reward ${(metrics.reward as number).toFixed(3)}`);
    else if (Number.isFinite(metrics.loss)) parts.push(`loss ${(metrics.loss as number).toFixed(4)}`);
    const length = metrics["completions/mean_length"];
    if (length !== undefined && Number.isFinite(length)) parts.push(`length ${length.toFixed(0)}`);
    parts.push(`${formatDuration(this.timeLeft(report))} left`);
    return parts.join("  ");
  }

  /** From the time that steps took, so that evaluations before the first one do not count as progress. */
  private timeLeft({ step, totalSteps }: StepReport): number {
    return (this.stepTime / Math.max(1, step - (this.run?.firstStep ?? 0))) * (totalSteps - step);
  }
}

/** "trains 8.3 M of 3.75 B parameters (0.22 %), LoRA r=16 on 252 layers" */
function trainedPart({ parameters, trainableParameters, adapter }: RunStart): string {
  if (trainableParameters === parameters && adapter === undefined) return `${formatNumber(parameters)} parameters`;
  const share = formatShare(trainableParameters / parameters);
  const part = `trains ${formatNumber(trainableParameters)} of ${formatNumber(parameters)} parameters (${share})`;
  if (adapter === undefined) return part;
  const [least, greatest] = adapter.ranks;
  const rank = least === greatest ? String(least) : `${least}–${greatest}`;
  return `${part}, LoRA r=${rank} on ${adapter.layers} ${adapter.layers === 1 ? "layer" : "layers"}`;
}

/** Everything that is drawn is one column wide. */
function cut(text: string, columns: number): string {
  return text.length <= columns ? text : text.slice(0, Math.max(0, columns));
}
