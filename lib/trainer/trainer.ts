import { join } from "node:path";
import { parseSize } from "../config/index.js";
import type { CallOptions } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { Evaluation } from "../eval/index.js";
import { JsonlReporter, makeTrackers, type StepReport } from "../report/index.js";
import { checkEvaluationOptions } from "./best-checkpoint.js";
import type { TrainerState } from "./checkpoint.js";
import { type Dashboard, openDashboard } from "./dashboard.js";
import { type RunControl, RunEvents, type TrainerEventName, type TrainerListener } from "./events.js";
import { checkLearningRate } from "./learning-rate.js";
import { announceRun, openRun } from "./open-run.js";
import { type ResolvedOptions, type RunPlan, resolveOptions, type TrainerOptions } from "./options.js";
import { runOfCheckpoint } from "./resume.js";
import { changeBaseRate, nextBaseRate, type OpenRun } from "./run.js";
import { requestSave } from "./run-checkpoints.js";
import { evaluateRun } from "./run-evaluation.js";
import { runSteps } from "./run-steps.js";
import { type SaveTrainedOptions, saveTrained } from "./save-trained.js";
import { closeSession } from "./session.js";
import { Steering } from "./steering.js";

/**
 * Trains a model: `for await (const step of trainer.run())`. Files are written to `outputDir`; a run that is
 * interrupted goes on, bit for bit, in a trainer with the same options and `resume: true`.
 *
 * Everything random is named by (seed, row, step), so the same options give the same weights.
 *
 * What happens is told in one order to reporters, `callbacks` and listeners alike: `start`, then per step `rollout`,
 * `step`, and where they are due `eval` and `checkpoint`; `end` at last. All are awaited. A callback that throws ends
 * the run behind a checkpoint; what a listener throws is a warning.
 *
 * @example
 * const trainer = new Trainer({ model, dataset, evalDataset, evalSteps: 50, earlyStoppingPatience: 3 });
 * trainer.on("eval", ({ step, metrics }) => console.log(step, metrics.eval_reward));
 * trainer.on("step", ({ metrics }) => {
 *   if (metrics.kl > 1) trainer.stop("the policy has drifted away");
 * });
 * for await (const { step, metrics } of trainer.run()) console.log(step, metrics.reward);
 * await trainer.save("out");
 */
export class Trainer implements RunControl {
  readonly outputDir: string;
  private readonly options: ResolvedOptions;
  private readonly events = new RunEvents();
  private opening: Promise<OpenRun> | undefined;
  private tracking: Promise<void> | undefined;
  private page: Dashboard | undefined;
  private starting: OpenRun | undefined;
  private opened: OpenRun | undefined;
  private readonly steering = new Steering();
  /** A learning rate that was set before the run was open. */
  private wantedRate: number | undefined;

  /** Throws `ERR_CONFIG` for options that do not fit; files are opened by the first `run()` or `evaluate()`. */
  constructor(options: TrainerOptions) {
    this.options = resolveOptions(options);
    const { plan, reporters, callbacks } = this.options;
    checkEvaluationOptions(plan.config, this.hasEvalData);
    this.outputDir = outputDirOf(plan);
    const completions = plan.objective === "grpo" && plan.config.logCompletions;
    for (const reporter of [new JsonlReporter(this.outputDir, { completions }), ...reporters]) {
      this.events.addReporter(reporter);
    }
    this.events.addCallbacks(callbacks, this);
  }

  /** The options with all defaults. */
  get config(): RunPlan["config"] {
    return this.options.plan.config;
  }

  get objective(): RunPlan["objective"] {
    return this.options.plan.objective;
  }

  /** Whether there are held-out rows, of their own or split off. */
  get hasEvalData(): boolean {
    return this.config.evalDataset !== undefined || this.config.valSplitRatio > 0;
  }

  /** Has `listener` called, and awaited, at every event of this name; what it throws is a warning. */
  on<E extends TrainerEventName>(event: E, listener: TrainerListener<E>): this {
    this.events.on(event, listener);
    return this;
  }

  /** The same for the next event of this name alone. */
  once<E extends TrainerEventName>(event: E, listener: TrainerListener<E>): this {
    this.events.once(event, listener);
    return this;
  }

  /** Takes back `on` or `once`. */
  off<E extends TrainerEventName>(event: E, listener: TrainerListener<E>): this {
    this.events.off(event, listener);
    return this;
  }

  /** Whether this trainer went on from a checkpoint of an earlier one. */
  async isResumed({ signal }: CallOptions = {}): Promise<boolean> {
    return (await this.open(signal)).resumed;
  }

  /** Steps that are done, time spent in them, rewards so far; undefined before the first `run()` or `evaluate()`. */
  async state(): Promise<Readonly<TrainerState> | undefined> {
    return (await this.opening)?.state;
  }

  /**
   * Runs the steps that are left and yields each one's report. When `signal` is aborted, the step at hand is dropped
   * or finished, a checkpoint written, and the signal's reason thrown. Leaving the loop ends the run behind a checkpoint.
   */
  async *run({ signal }: CallOptions = {}): AsyncGenerator<StepReport, void, void> {
    const run = await this.open(signal);
    const { saveModelTo, saveMergedTo } = this.config;
    const finish = async () => {
      if (saveModelTo !== undefined) await this.save(saveModelTo, { signal });
      if (saveMergedTo !== undefined) await this.save(saveMergedTo, { merged: true, signal });
    };
    yield* runSteps(run, { signal, steering: this.steering, finish });
  }

  /**
   * Ends the run after the step at hand, behind a checkpoint: `run()` then returns, and a later one, here or with
   * `resume: true`, goes on. Called before the run it ends that one before its first step.
   */
  stop(reason = "stopped"): void {
    this.steering.stop(reason);
  }

  /**
   * Holds the run before its next step, until `continue()`, `stop()` or the signal of `run()`. Called before the run it
   * holds that one before its first step.
   */
  pause(): void {
    this.steering.pause();
  }

  /** Takes back `pause()`. */
  continue(): void {
    this.steering.continue();
  }

  get paused(): boolean {
    return this.steering.paused;
  }

  /** The highest learning rate of the schedule, as the next step has it: the configured one, or what was set. */
  get learningRate(): number {
    const { opened, config } = this;
    return this.wantedRate ?? (opened === undefined ? config.learningRate : nextBaseRate(opened));
  }

  /**
   * From the next step on this takes the place of `learningRate`: the schedule goes on from where it is and multiplies
   * it, rates of parts of the model and floors of the schedule keep their proportion to it. Checkpoints keep it, so that
   * a run that goes on has it at the same steps; one that goes on with another `learningRate` in its options has that.
   *
   * @throws VlmR1Error `ERR_ARGUMENT` for what is no number of at least 0
   */
  setLearningRate(value: number): void {
    const rate = checkLearningRate(value);
    if (this.opened === undefined) this.wantedRate = rate;
    else changeBaseRate(this.opened, rate);
    // One that is paused tells of it now.
    this.steering.wake();
  }

  /**
   * Writes a checkpoint: at once between two steps and within callbacks and listeners, else after the step at hand.
   * Gives its folder; undefined before the first step, where there is nothing to go on from.
   */
  async saveCheckpoint({ signal }: CallOptions = {}): Promise<string | undefined> {
    return requestSave(await this.open(signal));
  }

  /**
   * Answers to the held-out data (`evalDataset`, `valSplitRatio`), scored: greedy ones, or with `evalTemperature` and
   * `numGenerationsEval` several that are sampled. The same weights give the same scores.
   */
  async evaluate({ signal }: CallOptions = {}): Promise<Evaluation> {
    return evaluateRun(await this.open(signal), signal);
  }

  /**
   * Writes the model as it is now into a Hugging Face folder that transformers, vLLM and this package load. Where an
   * adapter is trained the folder holds that, in PEFT's format, or with `merged` the model with the adapter in it.
   */
  async save(directory: string, options: SaveTrainedOptions = {}): Promise<void> {
    const { session } = await this.open(options.signal);
    const { dtype = this.config.saveDtype } = options;
    await saveTrained(session, directory, { ...options, dtype, maxShardBytes: parseSize(this.config.maxShardSize) });
  }

  /** The page that `dashboard` asks for; undefined before the first `run()` or `evaluate()`, and without one. */
  get dashboard(): Dashboard | undefined {
    return this.page;
  }

  /** Gives the page away: `dispose()` leaves it open, and it goes on showing what there was. */
  takeDashboard(): Dashboard | undefined {
    const { page } = this;
    this.page = undefined;
    return page;
  }

  /** Frees the models and, unless it was given, the engine; closes the dashboard. A run that is paused ends before. */
  async dispose(): Promise<void> {
    const { opening } = this;
    this.opening = undefined;
    const run = await opening?.catch(() => undefined);
    if (run?.running && this.paused) await this.steering.end("disposed of while it was paused");
    const page = this.takeDashboard();
    this.opened = undefined;
    try {
      if (run === undefined) return;
      closeSession(run.session);
      await run.lock.release();
      await this.events.emit("close", undefined);
      await this.events.flush();
    } finally {
      await page?.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Callbacks that hear of the start may use the run, which is open by then. */
  private async open(signal: AbortSignal | undefined): Promise<OpenRun> {
    this.opening ??= this.openAndAnnounce(signal).catch((error: unknown) => {
      this.opening = undefined;
      throw error;
    });
    return this.starting ?? this.opening;
  }

  private async addTrackers(): Promise<void> {
    const { outputDir, events } = this;
    const trackers = await makeTrackers({ ...this.config, outputDir }, { warn: (message) => events.warn(message) });
    for (const tracker of trackers) events.addReporter(tracker);
  }

  private async openPage(): Promise<void> {
    const { options, outputDir, events } = this;
    if (this.config.dashboard === false || this.page !== undefined) return;
    const rows = () => this.opened?.session.rows;
    this.page = await openDashboard({ host: { options, outputDir, events }, control: this, rows });
    await events.emit("dashboard", { url: this.page.url });
  }

  private async openAndAnnounce(signal: AbortSignal | undefined): Promise<OpenRun> {
    const { options, outputDir, events } = this;
    // What they need is looked for before weights are loaded.
    this.tracking ??= this.addTrackers();
    await this.tracking;
    await this.openPage();
    const run = await openRun({ options, outputDir, events }, signal);
    this.starting = run;
    this.opened = run;
    if (this.wantedRate !== undefined) changeBaseRate(run, this.wantedRate);
    this.wantedRate = undefined;
    try {
      await announceRun(run);
      return run;
    } catch (error) {
      this.opened = undefined;
      closeSession(run.session);
      await run.lock.release();
      throw error;
    } finally {
      this.starting = undefined;
    }
  }
}

/** Where a checkpoint is named to go on from, and no folder, the run goes on in the folder that it is in. */
function outputDirOf({ objective, config: { outputDir, resume } }: RunPlan): string {
  const of = typeof resume === "string" ? runOfCheckpoint(resume) : undefined;
  if (resume === true && outputDir === undefined) {
    throw new VlmR1Error("ERR_CONFIG", "resume: there is no output_dir that says which run is to go on", {
      hint: "Give --config RUN/config.yaml --resume, --output-dir RUN --resume, or --resume RUN/checkpoints/step-000100.",
    });
  }
  return outputDir ?? of ?? join("runs", `${objective}-${timestamp(new Date())}`);
}

/** Local time, for a folder's name. */
function timestamp(now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${date}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
