import { checkAdapterTarget, saveAdapterFolder } from "../adapters/index.js";
import type { RunConfig } from "../config/train-schema.js";
import type { CallOptions, SaveDType } from "../engine/index.js";
import type { Policy } from "./policy.js";
import { checkModelTarget, type SaveModelOptions, saveModelFolder } from "./save-model.js";

/** Of `trainer.save()`. */
export interface SaveTrainedOptions extends CallOptions {
  /** Of a model's weights; an adapter's are f32. Default: the option `saveDtype`. */
  dtype?: SaveDType | "auto" | undefined;
  /** Where an adapter is trained: write the model with the adapter added to its weights. */
  merged?: boolean | undefined;
}

type Trained = Pick<Policy, "model" | "adapter">;

/** Writes what a run has trained: the model, or the adapter, or with `merged` the model with the adapter in it. */
export async function saveTrained(
  { model, adapter }: Trained,
  directory: string,
  {
    merged = false,
    dtype,
    maxShardBytes,
    signal,
  }: SaveTrainedOptions & Pick<SaveModelOptions, "dtype" | "maxShardBytes">,
): Promise<void> {
  if (adapter !== undefined && !merged) return saveAdapterFolder(model, directory, adapter, { signal });
  const what = adapter === undefined ? "model" : "merged";
  await saveModelFolder(model, directory, { what, dtype, maxShardBytes, signal });
}

/** Finds out before the first step what would make the last one, that of saving, fail. */
export async function checkTargets(
  { saveModelTo, saveMergedTo }: Pick<RunConfig, "saveModelTo" | "saveMergedTo">,
  { model, adapter }: Trained,
): Promise<void> {
  const modelTo = adapter === undefined ? saveModelTo : saveMergedTo;
  if (modelTo !== undefined) await checkModelTarget(model, modelTo);
  if (adapter !== undefined && saveModelTo !== undefined) await checkAdapterTarget(saveModelTo);
}
