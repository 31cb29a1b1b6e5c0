import { readFile } from "node:fs/promises";
import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import { join } from "node:path";
import { dataStatistics } from "../data/statistics.js";
import { type Engine, packageVersion } from "../engine/index.js";
import { replaceJson } from "../files/index.js";
import { type Environment, EnvironmentSchema, type EnvironmentSession } from "../report/environment.js";
import { DATA_FILE, ENVIRONMENT_FILE } from "../report/run-files.js";
import type { OpenRun } from "./run.js";

/**
 * Notes where a run that has been opened runs, and on what, for its reports. Sessions whose steps are made anew, as they
 * came after the checkpoint that the run goes on from, are dropped.
 */
export async function noteEnvironment({ outputDir, options, session, state, resumed }: OpenRun): Promise<void> {
  const { plan } = options;
  const { modelType, parameters, trainableParameters } = session.model.info();
  const earlier = resumed ? await earlierSessions(outputDir) : [];
  const environment: Environment = {
    objective: plan.objective,
    model: { name: plan.config.model, type: modelType, parameters, trainable_parameters: trainableParameters },
    sessions: [
      ...earlier.filter(({ from_step }) => from_step < state.step),
      describeSession(session.engine, state.step, new Date()),
    ],
  };
  await replaceJson(join(outputDir, ENVIRONMENT_FILE), environment);
}

/** Notes what the rows hold that a run trains on, and how many are held out, for its reports. */
export async function noteData({ outputDir, session: { rows, evalRows } }: OpenRun): Promise<void> {
  const held = evalRows === undefined ? {} : { heldOutRows: evalRows.length };
  await replaceJson(join(outputDir, DATA_FILE), { ...dataStatistics(rows), ...held });
}

function describeSession(engine: Engine, step: number, now: Date): EnvironmentSession {
  return {
    from_step: step,
    started: now.toISOString(),
    version: packageVersion(),
    node: process.versions.node,
    system: `${type()} ${release()} ${process.arch}`,
    processor: cpus()[0]?.model.trim() || process.arch,
    cores: availableParallelism(),
    memory_bytes: totalmem(),
    device: engine.device,
    threads: engine.threads,
    isa: engine.isa,
    working_folder: process.cwd(),
  };
}

/** A file that is not there, or not whole, has nothing that a run would need. */
async function earlierSessions(folder: string): Promise<EnvironmentSession[]> {
  try {
    return EnvironmentSchema.parse(JSON.parse(await readFile(join(folder, ENVIRONMENT_FILE), "utf8"))).sessions;
  } catch {
    return [];
  }
}
