import { join } from "node:path";
import { type AdapterIdentity, rankRange } from "../adapters/index.js";
import { parseSize } from "../config/index.js";
import type { CallOptions } from "../engine/index.js";
import { abortReason, isAbort, throwIfAborted, VlmR1Error } from "../errors/index.js";
import { type EvaluateOptions, type Evaluation, evaluate } from "../eval/index.js";
import type { DownloadProgress } from "../hub/index.js";
import { JsonlReporter, Reporters, type RunEnd, type RunStart, type StepReport } from "../report/index.js";
import { checkTraceTarget, tracePath } from "../report/profile-trace.js";
import { span } from "../report/spans.js";
import { listCheckpoints, saveCheckpoint, type TrainerState } from "./checkpoint.js";
import { DataOrder } from "./data-order.js";
import { GrpoObjective } from "./grpo.js";
import { Guards } from "./guards.js";
import { type LoopParts, trainStep } from "./loop.js";
import { budgetToResume } from "./micro-batch-budget.js";
import { namesToResume, withCommits } from "./model-names.js";
import type { Objective, StepContext } from "./objective.js";
import { type ResolvedOptions, type RunPlan, resolveOptions, type TrainerOptions } from "./options.js";
import { firstProfiled, Profiler } from "./profiler.js";
import { resumeRun } from "./resume.js";
import { NAMED_ABOVE, RowSource } from "./rows.js";
import { claimRunFolder, clearRunFolder, writeRunConfig, writeRunFile } from "./run-folder.js";
import { checkTargets, type SaveTrainedOptions, saveTrained } from "./save-trained.js";
import { learningRateAt } from "./schedule.js";
import { closeSession, openSession, type Session } from "./session.js";
import { SftObjective } from "./sft.js";
import { historyEntry, newState, WarningQueue } from "./state.js";

/** A session with its place in the run. */
interface OpenRun {
  session: Session;
  parts: LoopParts;
  state: TrainerState;
  resumed: boolean;
  /** The newest checkpoint. */
  checkpoint: { step: number; path: string } | undefined;
  profiler: Profiler | undefined;
}

/**
 * Trains a model: `for await (const step of trainer.run())`. Files are written to `outputDir`; a run that is
 * interrupted goes on, bit for bit, in a trainer with the same options and `resume: true`.
 *
 * Everything random is named by (seed, row, step), so the same options give the same weights.
 */
export class Trainer {
  readonly outputDir: string;
  private readonly options: ResolvedOptions;
  private readonly reporters: Reporters;
  private readonly warnings: WarningQueue;
  private opening: Promise<OpenRun> | undefined;

  /** Throws `ERR_CONFIG` for options that do not fit; files are opened by the first `run()` or `evaluate()`. */
  constructor(options: TrainerOptions) {
    this.options = resolveOptions(options);
    const { plan, reporters } = this.options;
    this.outputDir = plan.config.outputDir ?? join("runs", `${plan.objective}-${timestamp(new Date())}`);
    const completions = plan.objective === "grpo" && plan.config.logCompletions;
    this.reporters = new Reporters([new JsonlReporter(this.outputDir, { completions }), ...reporters]);
    this.warnings = new WarningQueue(this.reporters);
  }

  /** The options with all defaults. */
  get config(): RunPlan["config"] {
    return this.options.plan.config;
  }

  get objective(): RunPlan["objective"] {
    return this.options.plan.objective;
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
   * or finished, a checkpoint written, and the signal's reason thrown.
   */
  async *run({ signal }: CallOptions = {}): AsyncGenerator<StepReport, void, void> {
    const run = await this.open(signal);
    let status: RunEnd["status"] = "interrupted";
    try {
      await this.writeRunFile(run, "running");
      const { totalSteps } = run.parts;
      while (run.state.step < totalSteps) {
        const advance = () => this.advance(run, signal);
        yield await (run.profiler?.around(run.state.step, advance) ?? advance());
      }
      checkTrained(run);
      await this.saveCheckpoint(run);
      const { saveModelTo, saveMergedTo } = this.config;
      if (saveModelTo !== undefined) await this.save(saveModelTo, { signal });
      if (saveMergedTo !== undefined) await this.save(saveMergedTo, { merged: true, signal });
      status = "finished";
    } catch (error) {
      if (!isAbort(error, signal)) {
        status = "failed";
        throw error;
      }
      await this.saveCheckpoint(run);
      throw signal?.aborted ? abortReason(signal) : error;
    } finally {
      try {
        await run.profiler?.end();
      } finally {
        await this.close(run, status);
      }
    }
  }

  private async close(run: OpenRun, status: RunEnd["status"]): Promise<void> {
    await this.writeRunFile(run, status).catch((error: Error) => {
      if (status === "finished") throw error;
      // The caller must hear of what ended the run.
      this.warnings.add(error.message);
    });
    await this.warnings.flush();
    await this.reporters.onEnd({ status, step: run.state.step, checkpoint: run.checkpoint?.path });
  }

  /** Greedy answers to the held-out data, scored; `evalDataset` must be given. */
  async evaluate({ signal }: CallOptions = {}): Promise<Evaluation> {
    const { session, state } = await this.open(signal);
    const { config } = this;
    const { model, processor, scorer, evalRows: rows } = session;
    if (rows === undefined) throw new VlmR1Error("ERR_CONFIG", "eval_dataset: must be given for an evaluation");
    const options: EvaluateOptions = {
      rewardWeights: config.rewardWeights,
      rewardTimeLimit: config.rewardTimeout * 1000,
      rewardConcurrency: config.rewardConcurrency,
      rewardRetries: config.rewardRetries,
      maxCompletionLength: config.maxCompletionLength,
      promptSuffix: config.promptSuffix,
      batchSize: config.evalBatchSize,
      step: state.step,
      signal,
      onProgress: (fraction) => this.reporters.onProgress({ phase: "evaluating", fraction }),
    };
    const evaluation = await span("evaluation", () => evaluate({ model, processor, scorer, rows }, options));
    for (const { row, message } of evaluation.failures.rows) this.warnings.add(`row ${row.id} is left out: ${message}`);
    for (const { reward, row, message } of evaluation.failures.rewards) {
      this.warnings.add(`reward ${reward}, row ${row}: ${message}`);
    }
    await this.warnings.flush();
    await this.reporters.onEvaluation(state.step, evaluation.metrics);
    return evaluation;
  }

  /**
   * Writes the model as it is now into a Hugging Face folder that transformers, vLLM and this package load. Where an
   * adapter is trained the folder holds that, in PEFT's format, or with `merged` the model with the adapter in it.
   */
  async save(directory: string, options: SaveTrainedOptions = {}): Promise<void> {
    const { session } = await this.open(options.signal);
    const { dtype = this.config.saveDtype } = options;
    await saveTrained(session, directory, { ...options, dtype, maxShardBytes: this.maxShardBytes });
  }

  private get maxShardBytes(): number {
    return parseSize(this.config.maxShardSize);
  }

  /** Frees the models and, unless it was given, the engine. */
  async dispose(): Promise<void> {
    const { opening } = this;
    this.opening = undefined;
    const run = await opening?.catch(() => undefined);
    if (run !== undefined) closeSession(run.session);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  private open(signal: AbortSignal | undefined): Promise<OpenRun> {
    this.opening ??= this.openRun(signal).catch((error: unknown) => {
      this.opening = undefined;
      throw error;
    });
    return this.opening;
  }

  private async openRun(signal: AbortSignal | undefined): Promise<OpenRun> {
    throwIfAborted(signal);
    const { plan } = this.options;
    const { config } = plan;
    const checkpoints = config.resume ? await listCheckpoints(this.outputDir) : [];
    const { resume, overwriteOutputDir, profile, profileSteps, ...rest } = config;
    const lasting = { ...rest, outputDir: this.outputDir };
    const warn = (message: string) => this.warnings.add(message);
    if (checkpoints.length === 0) {
      if (resume) warn(`${this.outputDir} holds no checkpoint; this run starts from the beginning`);
      await claimRunFolder(this.outputDir, overwriteOutputDir);
    }
    const { traceFile } = this;
    if (traceFile !== undefined) await checkTraceTarget(traceFile);
    const names = checkpoints.length === 0 ? config : await namesToResume(this.outputDir, config, warn);
    const asked = config.maxTokensPerMicrobatch;
    const budget = checkpoints.length === 0 ? asked : await budgetToResume(this.outputDir, asked, warn);
    const onDownload = (progress: DownloadProgress) => this.reporters.onDownload(progress);
    const session = await openSession(this.options, { names, budget, warn, onDownload, signal });
    try {
      const { source } = session;
      await checkTargets(config, session);
      if (checkpoints.length === 0) await clearRunFolder(this.outputDir, [source.directory, source.adapter]);
      const parts = this.makeParts(session);
      const run: OpenRun = { session, ...parts, resumed: false, checkpoint: undefined, profiler: undefined };
      if (checkpoints.length > 0) {
        const resumed = await resumeRun(checkpoints, session, run.state, warn);
        run.state = resumed.state;
        run.checkpoint = resumed.checkpoint;
        run.resumed = true;
      }
      // Also where it goes on: the next one that does is to have the options of this one.
      const { maxTokensPerMicrobatch } = session;
      await writeRunConfig(this.outputDir, withCommits({ ...lasting, maxTokensPerMicrobatch }, source.names));
      run.profiler = this.makeProfiler(run);
      run.parts.guards = new Guards(() => run.checkpoint?.path);
      await this.announce(run);
      return run;
    } catch (error) {
      closeSession(session);
      throw error;
    }
  }

  private makeParts(session: Session): Pick<OpenRun, "parts" | "state"> {
    const { plan } = this.options;
    const { config } = plan;
    const { seed, promptsPerStep, shuffleDataset, maxSteps, numTrainEpochs } = config;
    const rows = session.rows.length;
    const order = new DataOrder({ rows, perStep: promptsPerStep, seed, shuffle: shuffleDataset });
    const end = maxSteps >= 0 ? Number.POSITIVE_INFINITY : order.endOf(numTrainEpochs);
    const totalSteps = maxSteps >= 0 ? maxSteps : order.stepsTo(end);
    const parts: LoopParts = {
      model: session.model,
      objective: makeObjective(plan, session),
      order,
      rows,
      totalSteps,
      end,
      seed,
      optimizer: (step) => optimizerSettings(config, step, totalSteps),
      guards: new Guards(() => undefined),
    };
    return { parts, state: newState(plan, session, totalSteps) };
  }

  /** Undefined where no profile is asked for. */
  private get traceFile(): string | undefined {
    return tracePath(this.config.profile, this.outputDir);
  }

  private makeProfiler({ session, state, parts }: OpenRun): Profiler | undefined {
    const { traceFile: path } = this;
    if (path === undefined) return undefined;
    return new Profiler({
      engine: session.engine,
      path,
      firstStep: firstProfiled(state.step, parts.totalSteps),
      steps: this.config.profileSteps,
      onProfile: (report) => this.reporters.onProfile(report),
      warn: (message) => this.warnings.add(message),
    });
  }

  private async announce({ session, state, parts }: OpenRun): Promise<void> {
    const { parameters, trainableParameters } = session.model.info();
    await this.reporters.onStart({
      objective: this.options.plan.objective,
      outputDir: this.outputDir,
      firstStep: state.step,
      totalSteps: parts.totalSteps,
      rows: parts.rows,
      parameters,
      trainableParameters,
      maxTokensPerMicrobatch: session.maxTokensPerMicrobatch,
      adapter: session.adapter === undefined ? undefined : describeAdapter(session.adapter),
    });
    await this.warnings.flush();
  }

  private async advance(run: OpenRun, signal: AbortSignal | undefined): Promise<StepReport> {
    const report = await this.step(run, signal);
    if (this.isDue(this.config.evalSteps, run)) await this.evaluate({ signal });
    if (this.isDue(this.config.saveSteps, run)) await this.saveCheckpoint(run);
    return report;
  }

  private async step(run: OpenRun, signal: AbortSignal | undefined): Promise<StepReport> {
    const context: StepContext = {
      signal,
      onProgress: (progress) => this.reporters.onProgress(progress),
      warn: (message) => this.warnings.add(message),
    };
    const { state, parts } = run;
    try {
      const args = { step: state.step + 1 };
      const report = await span("training step", () => trainStep(parts, state, context), { args });
      state.position = Math.min(parts.end, state.step * this.config.promptsPerStep);
      state.history.push(historyEntry(report));
      await this.warnings.flush();
      await span("reports", () => this.reporters.onStep(report));
      return report;
    } finally {
      await this.warnings.flush();
    }
  }

  private isDue(every: number, { state }: OpenRun): boolean {
    return every > 0 && state.step % every === 0;
  }

  private async saveCheckpoint(run: OpenRun): Promise<void> {
    const { state, session } = run;
    const { model, adapter } = session;
    if (run.checkpoint?.step === state.step || state.step === 0) return;
    const { saveDtype: dtype, saveTotalLimit: keep } = this.config;
    const { outputDir: runFolder, maxShardBytes } = this;
    const options = { runFolder, model, adapter, state, dtype, maxShardBytes, keep };
    run.checkpoint = await span("checkpoint", () => saveCheckpoint(options));
    await this.reporters.onCheckpoint(state.step, run.checkpoint.path);
  }

  private async writeRunFile({ state, parts }: OpenRun, status: RunEnd["status"] | "running"): Promise<void> {
    await writeRunFile(this.outputDir, { status, step: state.step, totalSteps: parts.totalSteps });
  }
}

function describeAdapter({ spec }: AdapterIdentity): RunStart["adapter"] {
  return { ranks: rankRange(spec), layers: spec.modules.length };
}

/** A run so short that it meets bad rows alone must not look as if it had trained. */
function checkTrained({ state, parts: { totalSteps } }: OpenRun): void {
  if (totalSteps === 0 || state.numTokens > 0) return;
  throw new VlmR1Error("ERR_DATA", `none of the rows of ${totalSteps} steps could be used`, { hint: NAMED_ABOVE });
}

function makeObjective(plan: RunPlan, session: Session): Objective {
  const { model, reference, processor, scorer, maxTokensPerMicrobatch } = session;
  const { config } = plan;
  const room = model.info().maxPositionEmbeddings;
  const rows = new RowSource(session.rows, processor, {
    promptSuffix: config.promptSuffix,
    maxPromptTokens: plan.objective === "grpo" ? room - config.maxCompletionLength : room,
    seed: config.seed,
    augment: plan.config.augment,
    alpha: config.alpha,
  });
  return plan.objective === "grpo"
    ? new GrpoObjective({ model, reference, processor, rows, scorer, config: plan.config, maxTokensPerMicrobatch })
    : new SftObjective({ processor, rows, maxTokensPerMicrobatch, maxTokens: room });
}

function optimizerSettings(config: RunPlan["config"], step: number, totalSteps: number) {
  const { learningRate: base, visionLearningRate: vision = base, mergerLearningRate: merger = base } = config;
  const { lrSchedulerType: kind, warmupSteps, warmupRatio } = config;
  const rate = (learningRate: number) =>
    learningRateAt(step, { kind, learningRate, totalSteps, warmupSteps, warmupRatio });
  return {
    learningRate: { vision: rate(vision), merger: rate(merger), language: rate(base) },
    beta1: config.adamBeta1,
    beta2: config.adamBeta2,
    epsilon: config.adamEpsilon,
    weightDecay: config.weightDecay,
    maxGradNorm: config.maxGradNorm === 0 ? Number.POSITIVE_INFINITY : config.maxGradNorm,
  };
}

/** Local time, for a folder's name. */
function timestamp(now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${date}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
