import type { Environment } from "../report/environment.js";
import { formatBytes } from "../report/format.js";
import type { PageRun } from "./page-data.js";

/** What a reader wants to know of where a run ran: of the process that went on with it last. */
export function describeEnvironment(environment: Environment | undefined): PageRun["environment"] {
  const last = environment?.sessions.at(-1);
  if (environment === undefined || last === undefined) return {};
  const { model, sessions } = environment;
  const resumed = sessions.filter(({ from_step }) => from_step > 0).map(({ from_step }) => from_step);
  return {
    model: model.name,
    "model type": model.type,
    parameters: model.parameters,
    "trainable parameters": model.trainable_parameters,
    "vlmr1-native": last.version,
    Node: last.node,
    system: last.system,
    processor: last.processor,
    cores: last.cores,
    memory: formatBytes(last.memory_bytes),
    device: last.device,
    threads: last.threads,
    "instruction set": last.isa,
    started: sessions[0]?.started ?? last.started,
    ...(resumed.length > 0 && { "went on from step": resumed.join(", ") }),
    "working folder": last.working_folder,
  };
}
