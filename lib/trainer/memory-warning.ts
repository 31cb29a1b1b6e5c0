import type { ModelSource } from "../adapters/index.js";
import type { GrpoConfig } from "../config/train-schema.js";
import type { Row } from "../data/datasets/index.js";
import type { Engine } from "../engine/index.js";
import { throwIfAborted, VlmR1Error } from "../errors/index.js";
import type { Processor } from "../processing/index.js";
import { formatBytes } from "../report/format.js";
import { estimatedModel } from "./estimated-model.js";
import { estimateMemory } from "./memory-estimate.js";
import { memoryLimit } from "./memory-fit.js";
import { measureRows } from "./prompt-sizes.js";

export interface MemoryCheck {
  engine: Engine;
  source: Pick<ModelSource, "directory" | "adapter">;
  config: GrpoConfig;
  rows: readonly Row[];
  warn: (message: string) => void;
  signal: AbortSignal | undefined;
}

/** Rows whose prompts are measured. */
const LOOKED = 64;
/** The start of a run does not wait longer for its estimate: without one it goes on and says nothing. */
const PATIENCE_MS = 2000;

/** Says before the weights are loaded that a run will need more memory than there is. It may still be lucky. */
export async function warnOfMemory(check: MemoryCheck, processor: Processor, limit = memoryLimit()): Promise<void> {
  const { engine, source, config, rows, warn, signal } = check;
  if (engine.device !== "cpu") return;
  const timeout = AbortSignal.timeout(PATIENCE_MS);
  const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  try {
    const model = await estimatedModel(engine, source);
    const measure = { promptSuffix: config.promptSuffix, limit: LOOKED, signal: either };
    const { sizes } = await measureRows(processor, rows, measure);
    const seen = config.augment ? undefined : rows.length;
    const run = { ...model, prompts: sizes, rows: seen, processBytes: process.memoryUsage().rss };
    const { peak } = await estimateMemory(engine, run, config, { signal: either });
    if (peak <= limit) return;
    warn(
      `this run may take ${formatBytes(peak)} of memory, and ${formatBytes(limit)} are available; ` +
        "what makes it smaller is said by: vlmr1-native estimate, with the same options",
    );
  } catch (error) {
    throwIfAborted(signal);
    if (timeout.aborted) return;
    if (!(error instanceof VlmR1Error)) throw error;
    warn(`what memory this run takes could not be estimated: ${error.message}`);
  }
}
