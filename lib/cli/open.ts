import { loraArgs, openStoredAdapter, resolveModelSource } from "../adapters/index.js";
import { Engine, type LoadModelOptions, type Model } from "../engine/index.js";
import { Processor } from "../processing/index.js";
import type { ProfileOption } from "../report/profile-trace.js";
import type { CliContext } from "./context.js";
import { showFetching } from "./fetching.js";
import { checkProfile, withProfile } from "./profiling.js";

export interface OpenOptions {
  /** Folder or hub name. */
  model: string;
  revision?: string | undefined;
  adapter?: string | undefined;
  precision?: LoadModelOptions["precision"];
  device: "auto" | "cpu" | "cuda";
  threads?: number | undefined;
  isa?: string | undefined;
  minPixels?: number | undefined;
  maxPixels?: number | undefined;
  alpha: "white" | "drop";
  /** Profile the use; the file of the trace. */
  profile?: ProfileOption;
}

export interface LoadOptions {
  /** For gradients: of the weights, or where there is an adapter of that. */
  gradients?: boolean;
  signal: AbortSignal;
}

export interface Opened {
  engine: Engine;
  model: Model;
  processor: Processor;
}

/** Opens engine, processor and model, with its adapter, for the time of `use`, and frees them however it ends. */
export async function withModel<T>(
  context: CliContext,
  options: OpenOptions,
  { gradients = false, signal }: LoadOptions,
  use: (opened: Opened) => Promise<T>,
): Promise<T> {
  const { device, threads, isa, minPixels, maxPixels, alpha, precision = "auto" } = options;
  await checkProfile(options.profile);
  const source = await showFetching(context, (fetching) => resolveModelSource(options, fetching));
  const engine = await Engine.open({ device, threads, isa });
  try {
    // The processor first: a folder without a tokenizer fails before gigabytes of weights are read.
    const processor = await Processor.load(source.directory, engine, { minPixels, maxPixels, alpha });
    const stored = await openStoredAdapter(engine, source);
    // Nothing is drawn at random where the adapter's weights are there, and nothing dropped outside of training.
    const lora =
      stored === undefined ? null : { ...loraArgs(stored.spec, { weights: stored.weights, seed: 0 }), dropout: 0 };
    const train = !gradients ? "none" : lora === null ? "full" : "lora";
    const model = await engine.loadModel(source.directory, { precision, train, lora, signal });
    return await withProfile(options.profile, engine, context, () => use({ engine, model, processor }));
  } finally {
    engine.dispose();
  }
}
