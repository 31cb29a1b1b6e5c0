import { neighbours } from "../data/neighbours.js";
import type { Model, NativeCompletion, SamplingArgs } from "../engine/index.js";
import type { Processor } from "../processing/index.js";
import type { StepContext } from "./objective.js";
import type { PlacedRow } from "./rows.js";

/** A question and what the model answered. */
export interface Group extends PlacedRow {
  completions: NativeCompletion[];
  /** The completions' texts without special tokens. */
  texts: string[];
}

export interface RolloutOptions {
  numGenerations: number;
  /** Completions that are under way at once; 0: all. */
  maxNumSeqs: number;
  sampling: SamplingArgs;
  seed: number;
}

/**
 * Samples completions for the rows of one step. Random streams are named by the rows' positions in the run, so a
 * completion does not depend on what else is in the batch, nor on whether an earlier step left a row out.
 */
export async function rollout(
  model: Model,
  processor: Processor,
  rows: readonly PlacedRow[],
  { numGenerations, maxNumSeqs, sampling, seed }: RolloutOptions,
  { signal, onProgress }: StepContext,
): Promise<Group[]> {
  const groups: Group[] = [];
  for (const run of neighbours(rows, ({ place }) => place.position)) {
    const completions = await model.generate({
      prompts: run.map(({ prompt }) => prompt),
      n: numGenerations,
      maxRows: maxNumSeqs,
      sampling,
      seed,
      firstRow: run[0]?.place.position ?? 0,
      signal,
      onProgress: ({ finished }) => {
        const done = groups.length * numGenerations + finished;
        onProgress({ phase: "sampling", fraction: done / (rows.length * numGenerations) });
      },
    });
    for (const [index, row] of run.entries()) {
      const own = completions[index] as NativeCompletion[];
      const texts = own.map(({ tokens }) => processor.tokenizer.decode(tokens, { skipSpecialTokens: true }));
      groups.push({ ...row, completions: own, texts });
    }
  }
  return groups;
}
