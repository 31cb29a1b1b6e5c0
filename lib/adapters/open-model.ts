import { Engine, type LoadModelOptions, type Model } from "../engine/index.js";
import { Processor, type ProcessorOptions } from "../processing/index.js";
import { loraArgs } from "./adapter.js";
import { type ModelSource, openStoredAdapter } from "./model-source.js";

export interface OpenModelOptions extends ProcessorOptions, Pick<LoadModelOptions, "precision" | "signal"> {
  device: "auto" | "cpu" | "cuda";
  threads?: number | undefined;
  isa?: string | undefined;
  /** For gradients: of the weights, or where there is an adapter of that. */
  gradients?: boolean;
}

export interface OpenedModel {
  /** Whoever opened the model disposes it, and all with it. */
  engine: Engine;
  model: Model;
  processor: Processor;
}

/** Opens engine, processor and model, with its adapter, as it is: for answers, and for gradients without training. */
export async function openModel(source: ModelSource, options: OpenModelOptions): Promise<OpenedModel> {
  const { device, threads, isa, precision = "auto", gradients = false, signal } = options;
  const { minPixels, maxPixels, alpha, cacheBytes } = options;
  const engine = await Engine.open({ device, threads, isa });
  try {
    // The processor first: a folder without a tokenizer fails before gigabytes of weights are read.
    const processor = await Processor.load(source.directory, engine, { minPixels, maxPixels, alpha, cacheBytes });
    const stored = await openStoredAdapter(engine, source);
    // Nothing is drawn at random where the adapter's weights are there, and nothing dropped outside of training.
    const lora =
      stored === undefined ? null : { ...loraArgs(stored.spec, { weights: stored.weights, seed: 0 }), dropout: 0 };
    const train = !gradients ? "none" : lora === null ? "full" : "lora";
    const model = await engine.loadModel(source.directory, { precision, train, lora, signal });
    return { engine, model, processor };
  } catch (error) {
    engine.dispose();
    throw error;
  }
}
