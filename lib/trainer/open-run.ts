import { type AdapterIdentity, rankRange } from "../adapters/index.js";
import { throwIfAborted } from "../errors/index.js";
import { evaluationMetricNames } from "../eval/index.js";
import type { DownloadProgress } from "../hub/index.js";
import type { RunStart } from "../report/index.js";
import { checkTraceTarget, tracePath } from "../report/profile-trace.js";
import { bestMetricName, checkMetricName, comparableBest, writeBestFile } from "./best-checkpoint.js";
import { budgetToResume } from "./micro-batch-budget.js";
import { namesToResume, withCommits } from "./model-names.js";
import { firstProfiled, Profiler } from "./profiler.js";
import { findResumePoint, type ResumePoint, resumeRun } from "./resume.js";
import type { OpenRun, RunHost } from "./run.js";
import { noteData, noteEnvironment } from "./run-environment.js";
import { claimRunFolder, clearRunFolder, writeRunConfig } from "./run-folder.js";
import { RunLock } from "./run-lock.js";
import { makeParts, sameSchedule } from "./run-parts.js";
import { checkTargets } from "./save-trained.js";
import { closeSession, openSession, type Session } from "./session.js";
import { newState } from "./state.js";
import { Watch } from "./watch.js";

/** Opens all that a run needs, and brings it to where it goes on. What it throws leaves nothing open. */
export async function openRun(host: RunHost, signal: AbortSignal | undefined): Promise<OpenRun> {
  throwIfAborted(signal);
  const lock = new RunLock(host.outputDir);
  try {
    return await openLocked(host, lock, signal);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function openLocked(host: RunHost, lock: RunLock, signal: AbortSignal | undefined): Promise<OpenRun> {
  const { options, outputDir, events } = host;
  const { config } = options.plan;
  const warn = (message: string) => events.warn(message);
  await lock.take();
  const from = await findResumePoint(config.resume, outputDir, warn);
  if (!from?.own) await claimRunFolder(outputDir, config.overwriteOutputDir);
  await lock.take();
  const traceFile = tracePath(config.profile, outputDir);
  if (traceFile !== undefined) await checkTraceTarget(traceFile);
  const names = from === undefined ? config : await namesToResume(from.runFolder, config, warn);
  const asked = config.maxTokensPerMicrobatch;
  const budget = from === undefined ? asked : await budgetToResume(from.runFolder, asked, warn);
  const onDownload = (progress: DownloadProgress) => events.emitNow("download", progress);
  const onMeasured = (fraction: number) => events.emitNow("progress", { phase: "measuring", fraction });
  const session = await openSession(options, { names, budget, warn, onDownload, onMeasured, signal });
  try {
    return await startRun({ ...host, lock }, session, from);
  } catch (error) {
    closeSession(session);
    throw error;
  }
}

async function startRun(
  host: RunHost & Pick<OpenRun, "lock">,
  session: Session,
  from: ResumePoint | undefined,
): Promise<OpenRun> {
  const { options, outputDir } = host;
  const { config } = options.plan;
  checkMetric(host, session);
  await checkTargets(config, session);
  const { source } = session;
  const inputs = [source.directory, source.adapter, from?.checkpoints.at(-1)?.path];
  if (!from?.own) await clearRunFolder(outputDir, inputs);
  const parts = makeParts(options.plan, session, () => run.checkpoint?.path);
  const run: OpenRun = {
    ...host,
    session,
    parts,
    state: newState(options.plan, session, parts.totalSteps),
    resumed: false,
    checkpoint: undefined,
    evaluationsSaved: 0,
    profiler: undefined,
    watch: options.plan.objective === "grpo" ? new Watch(options.plan.config) : undefined,
    weightsOf: 0,
    wholeAfter: 0,
    running: false,
    stepping: false,
    busy: false,
    saving: Promise.resolve(),
    waiting: [],
  };
  if (from !== undefined) await goOn(run, from);
  // Also where it goes on: the next one that does is to have the options of this one.
  const { resume, overwriteOutputDir, profile, profileSteps, ...lasting } = config;
  const { maxTokensPerMicrobatch } = session;
  await writeRunConfig(outputDir, withCommits({ ...lasting, outputDir, maxTokensPerMicrobatch }, source.names));
  await noteEnvironment(run);
  await noteData(run);
  run.profiler = makeProfiler(run);
  return run;
}

/** Tells of a run that has been opened. */
export async function announceRun(run: OpenRun): Promise<void> {
  await run.events.emit("start", describeRun(run));
  await run.events.flush();
}

/** Before hours of training. */
function checkMetric({ options }: RunHost, { scorer }: Session): void {
  const { config } = options.plan;
  if (config.evalSteps === 0) return;
  const rewards = scorer.rewards.map(({ name }) => name);
  checkMetricName(bestMetricName(config), evaluationMetricNames(rewards, config.numGenerationsEval));
}

async function goOn(run: OpenRun, from: ResumePoint): Promise<void> {
  const { parts, events, outputDir, options } = run;
  const warn = (message: string) => events.warn(message);
  const { state, planned, checkpoint } = await resumeRun(from, run.session, run.state, warn);
  if (!sameSchedule(options.plan.config, state.step, planned, state.totalSteps)) {
    warn(
      `the run was to have ${planned} steps, now ${state.totalSteps}: the ${state.step} that are done had the learning ` +
        "rates of that course, so it is another than it would have been",
    );
  }
  run.state = state;
  if (from.own) run.checkpoint = checkpoint;
  run.evaluationsSaved = state.evaluations.length;
  run.resumed = true;
  run.weightsOf = state.step;
  run.wholeAfter = state.updates;
  parts.objective.restore(state.objectiveState);
  // Checkpoints of earlier versions have neither.
  if (Object.keys(state.guards).length > 0) parts.guards.restore(state.guards);
  if (Object.keys(state.watch).length > 0) run.watch?.restore(state.watch);
  const metric = bestMetricName(options.plan.config);
  if (!comparableBest(state, metric)) {
    warn(`the best checkpoint so far was that of ${state.best?.metric}; by ${metric} counting begins anew`);
    Object.assign(state, { best: null, evaluations: [], withoutBetter: 0 });
  }
  await writeBestFile(outputDir, state.best);
}

/** Undefined where no profile is asked for. */
function makeProfiler({ session, state, parts, events, options, outputDir }: OpenRun): Profiler | undefined {
  const { profile, profileSteps } = options.plan.config;
  const path = tracePath(profile, outputDir);
  if (path === undefined) return undefined;
  return new Profiler({
    engine: session.engine,
    path,
    firstStep: firstProfiled(state.step, parts.totalSteps),
    steps: profileSteps,
    onProfile: (report) => events.emit("profile", report),
    warn: (message) => events.warn(message),
  });
}

function describeRun({ options, outputDir, session, state, parts }: OpenRun): RunStart {
  const { parameters, trainableParameters } = session.model.info();
  return {
    objective: options.plan.objective,
    outputDir,
    firstStep: state.step,
    totalSteps: parts.totalSteps,
    rows: parts.rows,
    parameters,
    trainableParameters,
    maxTokensPerMicrobatch: session.maxTokensPerMicrobatch,
    adapter: session.adapter === undefined ? undefined : describeAdapter(session.adapter),
  };
}

function describeAdapter({ spec }: AdapterIdentity): RunStart["adapter"] {
  return { ranks: rankRange(spec), layers: spec.modules.length };
}
