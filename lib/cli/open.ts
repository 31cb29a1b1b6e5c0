import { Engine, type LoadModelOptions, type Model } from "../engine/index.js";
import { Processor } from "../processing/index.js";

export interface OpenOptions {
  model: string;
  device: "auto" | "cpu" | "cuda";
  threads?: number | undefined;
  isa?: string | undefined;
  minPixels?: number | undefined;
  maxPixels?: number | undefined;
  alpha: "white" | "drop";
}

export interface Opened {
  engine: Engine;
  model: Model;
  processor: Processor;
}

/** Opens engine, processor and model for the time of `use`, and frees them however it ends. */
export async function withModel<T>(
  options: OpenOptions,
  load: LoadModelOptions,
  use: (opened: Opened) => Promise<T>,
): Promise<T> {
  const { model: directory, device, threads, isa, minPixels, maxPixels, alpha } = options;
  const engine = await Engine.open({ device, threads, isa });
  try {
    // The processor first: a folder without a tokenizer fails before gigabytes of weights are read.
    const processor = await Processor.load(directory, engine, { minPixels, maxPixels, alpha });
    const model = await engine.loadModel(directory, load);
    return await use({ engine, model, processor });
  } finally {
    engine.dispose();
  }
}
