import { fromNative, VlmR1Error } from "../errors/index.js";
import { type CallOptions, underSignal } from "./guard.js";
import { loadAddon } from "./load.js";
import { Model } from "./model.js";
import type {
  EstimateArgs,
  LoadModelArgs,
  ModelDescription,
  NativeAddon,
  NativeEngine,
  NativeEstimate,
  NativeImage,
  NativeProfile,
  ProcessImageArgs,
  SaveDType,
} from "./native-types.js";
import { DEFAULT_SHARD_BYTES } from "./shards.js";

/** The thread may lose its core within a reading of two clocks, hardly within all of them. */
const CLOCK_READINGS = 8;

export interface EngineOptions {
  /** "auto" (the default) takes CUDA where there is a device, else the CPU. */
  device?: "auto" | "cpu" | "cuda" | undefined;
  /** CPU threads; 0: one per physical core. Default: the environment's VLMR1_THREADS, else 0. */
  threads?: number | undefined;
  /** Force an instruction set. Default: the environment's VLMR1_CPU_ISA, else the best that the CPU has. */
  isa?: string | undefined;
  /** Another implementation of the native surface, for tests. */
  addon?: NativeAddon | undefined;
}

export interface LoadModelOptions extends CallOptions {
  /** Which parameters are trained; "none" (the default) needs no memory for gradients. */
  train?: LoadModelArgs["train"] | undefined;
  /** Type of the matrices that products read; "auto" (the default) keeps frozen ones as they are stored. */
  precision?: LoadModelArgs["precision"] | undefined;
  /** Published names of parameters that stay as they are where `train` is "full". */
  frozen?: readonly string[] | undefined;
  /** Linear layers with an adapter, which is trained where `train` is "lora". */
  lora?: LoadModelArgs["lora"] | undefined;
  /** Recompute activations in the backward pass: less memory, more time, the same bits. */
  gradientCheckpointing?: boolean | undefined;
  /** Published names of parameters without weight decay, beside norms and biases. */
  noDecay?: readonly string[] | undefined;
  /** "int8" holds the optimizer's moments in a byte each; "f32" unless given. */
  moments?: LoadModelArgs["moments"] | undefined;
  /** bf16 weights without f32 masters, updated with stochastic rounding. */
  stochasticRounding?: boolean | undefined;
  /** With `train: "none"`: weights in memory of their own, for `blend` and `loadState`. */
  writable?: boolean | undefined;
}

export interface InitModelOptions extends CallOptions {
  /** The text of a config.json. */
  config: string;
  directory: string;
  seed?: number | undefined;
  dtype?: SaveDType | undefined;
  /** Larger models are written as shards of at most this size; 5 GB unless given. */
  maxShardBytes?: number | undefined;
}

/** A device with a thread of its own, on which models are loaded and run. */
export class Engine {
  private readonly models = new Set<Model>();

  private constructor(private native: NativeEngine | undefined) {}

  static async open(options: EngineOptions = {}): Promise<Engine> {
    const addon = options.addon ?? loadAddon();
    const device = chooseDevice(addon, options.device ?? "auto");
    const threads = options.threads ?? threadsFromEnvironment();
    const isa = options.isa ?? process.env.VLMR1_CPU_ISA ?? "";
    // The addon throws before its thread exists, as from a call of its own.
    return underSignal(undefined, async () => new Engine(new addon.Engine({ device, threads, isa })));
  }

  get device(): string {
    return this.open("device").device;
  }

  get threads(): number {
    return this.open("threads").threads;
  }

  get isa(): string {
    return this.open("isa").isa;
  }

  get disposed(): boolean {
    return this.native === undefined;
  }

  /** Bytes that tensors take now and took at most, and what is held of the system's memory, for reuse too. */
  memory(): { used: number; peak: number; held: number } {
    return this.open("memory").memory();
  }

  /** The parameters that a config.json's text describes; needs no weights. */
  describeModel(config: string): ModelDescription {
    const native = this.open("describeModel");
    try {
      return native.describeModel({ config });
    } catch (error) {
      throw fromNative(error);
    }
  }

  /** Loads a Hugging Face folder. */
  async loadModel(directory: string, options: LoadModelOptions = {}): Promise<Model> {
    const native = this.open("loadModel");
    const { train = "none", precision = "auto", frozen = [], lora = null, signal } = options;
    const { gradientCheckpointing = false, noDecay = [], moments = "f32" } = options;
    const { stochasticRounding = false, writable = false } = options;
    const args: LoadModelArgs = {
      ...{ directory, precision, train, frozen: [...frozen], lora, gradientCheckpointing },
      ...{ noDecay: [...noDecay], moments, stochasticRounding, writable },
    };
    const loaded = await underSignal(signal, (flag) => native.loadModel(args, flag));
    const model = new Model(loaded, directory, (gone) => this.models.delete(gone));
    // The engine may have been disposed while the model was loading; it would never be freed.
    if (this.disposed) model.dispose();
    else this.models.add(model);
    return model;
  }

  /** Writes random weights for a config.json; the same seed writes the same bytes. */
  async initModel(options: InitModelOptions): Promise<{ parameters: number }> {
    const native = this.open("initModel");
    const { config, directory, seed = 0, dtype = "f32", maxShardBytes = DEFAULT_SHARD_BYTES, signal } = options;
    return underSignal(signal, (flag) => native.initModel({ config, directory, seed, dtype, maxShardBytes }, flag));
  }

  /** What training steps need of memory, found by a run that computes nothing; needs no weights. */
  async estimate(args: EstimateArgs, { signal }: CallOptions = {}): Promise<NativeEstimate> {
    const native = this.open("estimate");
    return underSignal(signal, (flag) => native.estimate(args, flag));
  }

  /** Resizes, normalises and cuts one picture into patches. */
  async processImage(args: ProcessImageArgs, { signal }: CallOptions = {}): Promise<NativeImage> {
    const native = this.open("processImage");
    return underSignal(signal, (flag) => native.processImage(args, flag));
  }

  /** From here on every call and kernel of this engine is recorded, until `stopProfile`. Results stay the same bits. */
  async startProfile({ signal }: CallOptions = {}): Promise<void> {
    const native = this.open("startProfile");
    return underSignal(signal, (flag) => native.startProfile(flag));
  }

  /** What was recorded. Times are in microseconds of `performance.now()`'s clock. */
  async stopProfile({ signal }: CallOptions = {}): Promise<NativeProfile> {
    const native = this.open("stopProfile");
    const profile = await underSignal(signal, (flag) => native.stopProfile(flag));
    const offset = clockOffset(() => native.clock());
    return { ...profile, start: profile.start.map((time) => time + offset) };
  }

  /** Frees the engine and its models; calls that still wait reject. Safe to call twice. */
  dispose(): void {
    for (const model of [...this.models]) model.dispose();
    this.native?.dispose();
    this.native = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private open(verb: string): NativeEngine {
    if (this.native !== undefined) return this.native;
    throw new VlmR1Error("ERR_STATE", `${verb}: the engine was disposed`, {
      hint: "Open another one with Engine.open().",
    });
  }
}

/** How far `performance.now()` is ahead of a clock, in microseconds. Of some readings the one that took least counts. */
function clockOffset(clock: () => number): number {
  let offset = 0;
  let shortest = Number.POSITIVE_INFINITY;
  for (let reading = 0; reading < CLOCK_READINGS; reading += 1) {
    const before = performance.now();
    const there = clock();
    const after = performance.now();
    if (after - before >= shortest) continue;
    shortest = after - before;
    offset = 500 * (before + after) - there;
  }
  return offset;
}

function chooseDevice(addon: NativeAddon, wanted: "auto" | "cpu" | "cuda"): "cpu" | "cuda" {
  if (wanted === "cpu") return "cpu";
  const { available, reason } = addon.cudaInfo();
  if (available) return "cuda";
  if (wanted === "auto") return "cpu";
  throw new VlmR1Error("ERR_DEVICE", `device "cuda" was asked for, but there is none: ${reason}`, {
    hint: "Use device auto or cpu, or see `vlmr1-native doctor`.",
  });
}

function threadsFromEnvironment(): number {
  const text = process.env.VLMR1_THREADS;
  if (text === undefined || text.trim() === "") return 0;
  const threads = Number(text);
  if (Number.isInteger(threads) && threads >= 0) return threads;
  throw new VlmR1Error("ERR_CONFIG", `VLMR1_THREADS: expected a whole number of at least 0, got "${text}"`);
}
