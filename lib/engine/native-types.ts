/**
 * The whole native surface, in one place. `native/binding` implements it, `lib/engine/engine.ts` is its only caller.
 * Shape letters: T tokens, P patches, V vocabulary, R completion tokens.
 *
 * Every verb that returns a promise runs on the engine's own thread, in the order of the calls. `abort` is an
 * `Int32Array(1)`: the caller writes a non-zero value to interrupt; the verb then rejects with code `ERR_ABORTED`.
 * Errors are thrown or rejected as `Error` with `code` (`ERR_SHAPE`, `ERR_CHECKPOINT`, …).
 */

import type { NativeDecoder } from "./native-decoder-types.js";
import type { AccumulateArgs, AccumulateResult, ComputeLossArgs, ComputeLossResult } from "./native-loss-types.js";

export type * from "./native-decoder-types.js";

export type AbortFlag = Int32Array;

export interface NativeAddon {
  readonly version: string;
  /** Instruction sets this build holds, those this CPU can run, and the one that is used unless told otherwise. */
  cpuInfo(): { compiled: string[]; supported: string[]; selected: string; logicalCores: number };
  /** Why (or that) there is a CUDA device. */
  cudaInfo(): { available: boolean; reason: string };
  /** A loss by itself, at once and on the caller's thread. Throws `ERR_SHAPE`, `ERR_ARGUMENT`. */
  computeLoss(args: ComputeLossArgs): ComputeLossResult;
  Engine: new (options: NativeEngineOptions) => NativeEngine;
}

export interface NativeEngineOptions {
  device: "cpu" | "cuda";
  /** 0: one per physical core. */
  threads: number;
  /** Force an instruction set ("baseline" | "avx2" | "avx512" | "avx512_bf16"); empty: the best. */
  isa: string;
}

export interface NativeEngine {
  readonly device: string;
  readonly threads: number;
  readonly isa: string;
  /** What a config.json text describes, without weights. Throws `ERR_CONFIG`. */
  describeModel(args: { config: string }): ModelDescription;
  loadModel(args: LoadModelArgs, abort: AbortFlag): Promise<NativeModel>;
  /**
   * Writes random weights for a config.json text into a folder, as `model.safetensors` or as shards with an index; one
   * tensor is in memory at a time. Deterministic in `seed`.
   */
  initModel(
    args: { config: string; directory: string; seed: number; dtype: SaveDType; maxShardBytes: number },
    abort: AbortFlag,
  ): Promise<{ parameters: number }>;
  processImage(args: ProcessImageArgs, abort: AbortFlag): Promise<NativeImage>;
  /**
   * What training steps need of memory: runs them with all their allocations and no computation, without weights and
   * without using that memory. Rejects with `ERR_DEVICE` on another device than the CPU.
   */
  estimate(args: EstimateArgs, abort: AbortFlag): Promise<NativeEstimate>;
  /** Bytes that tensors of this engine take now and took at most, and what it holds of the system, for reuse too. */
  memory(): { used: number; peak: number; held: number };
  /** The steady clock that spans are measured by, in microseconds. */
  clock(): number;
  /** From here on the engine's thread records spans. Rejects with `ERR_STATE` where it does already. */
  startProfile(abort: AbortFlag): Promise<void>;
  /** The spans since then; recording ends. Rejects with `ERR_STATE` where there was no `startProfile`. */
  stopProfile(abort: AbortFlag): Promise<NativeProfile>;
  /** Ends the thread after the queued verbs were rejected; safe to call twice. */
  dispose(): void;
}

/**
 * Spans of the engine's thread as columns, in the order in which they began. A span lies within those that began
 * before it and end after it.
 */
export interface NativeProfile {
  /** What `name` and `detail` count into: "linear", "T=97 E=64 F=128". */
  names: string[];
  details: string[];
  name: Int32Array;
  detail: Int32Array;
  /** Microseconds of `clock()`. */
  start: Float64Array;
  duration: Float64Array;
  /** Floating-point operations, where a span is a product of matrices; else 0. */
  flops: Float64Array;
  /** Bytes of the tensors that a span reads and writes; 0 where that is not known. */
  bytes: Float64Array;
  /** Spans that there was no room for. */
  dropped: number;
}

/** Where in a model a parameter is: the vision tower, the merger that follows it, or the language model. */
export type ModelPart = "vision" | "merger" | "language";

export interface ParameterDescription {
  /** As in published checkpoints: `model.layers.0.self_attn.q_proj.weight`, `visual.blocks.0.attn.qkv.weight`. */
  name: string;
  /** As transformers 5 names it in memory, and PEFT in adapters: `model.language_model.layers…`, `model.visual.…`. */
  runtimeName: string;
  shape: number[];
  part: ModelPart;
  /** The weight of a linear layer `[out, in]`: LoRA can adapt the module, whose name is this without `.weight`. */
  linear: boolean;
}

export interface ModelDescription {
  info: ModelInfo;
  parameters: ParameterDescription[];
}

export interface LoraModule {
  /** A linear layer's name as in published checkpoints, without `.weight`. */
  name: string;
  rank: number;
  /** What B·A is multiplied with: alpha / rank, or alpha / √rank. */
  scale: number;
}

export interface LoadModelArgs extends TrainingArgs {
  directory: string;
}

/** What of a model is trained, and in which type it is held. */
export interface TrainingArgs {
  /**
   * Type of the matrices that products read. "auto": frozen ones as they are stored (f16 as f32), trained and writable
   * ones f32.
   * "bf16": all, and what trains has f32 masters besides. Sums are always f32.
   */
  precision: "auto" | "f32" | "bf16";
  /** Which parameters get gradients and optimizer state: all but `frozen`, those of the adapter, none. */
  train: "full" | "lora" | "none";
  /** Published names of parameters that stay as they are under "full". */
  frozen: string[];
  /** Adapted linear layers; with `train: "none"` an adapter is used but not trained. */
  lora: {
    modules: LoraModule[];
    /** In [0, 1): share of a layer's inputs that the adapter does not see in `accumulate`. */
    dropout: number;
    /** Where `weights` is empty: A is drawn as PEFT draws it (uniform in ±1/√in), B is 0. */
    seed: number;
    /** adapter_model.safetensors in PEFT's format, or empty. */
    weights: string;
    /** Keep a copy of the adapter as it is loaded, for `adapter: "start"`. */
    keepStart: boolean;
  } | null;
  /** Run each layer's forward again in the backward pass instead of keeping its activations. */
  gradientCheckpointing: boolean;
  /** Published names of parameters without weight decay, beside norms and biases. */
  noDecay: string[];
  /** "int8": both moments in blocks of bytes with a scale each. */
  moments: "f32" | "int8";
  /** With `precision: "bf16"` and `train: "full"`: no f32 masters, updates are rounded up or down at random. */
  stochasticRounding: boolean;
  /** With `train: "none"`: weights in memory of their own, for `blend` and `loadState`. */
  writable: boolean;
}

export interface EstimateArgs extends TrainingArgs {
  /** The text of a config.json. */
  config: string;
  /** Type of the checkpoint's weights. */
  storedDtype: SaveDType;
  /** The prompts of a step. `tokens` counts all of them, those that stand for pictures too. */
  prompts: { tokens: number; grids: [number, number, number][] }[];
  /** Completions per prompt; all get full length. */
  completions: number;
  maxNewTokens: number;
  /** Indices of prompts: what `logProbs` and `accumulate` get at once. */
  microBatches: number[][];
  /**
   * Where a reference's log-probabilities come from: nowhere, the model itself with its adapter off (or as it was at
   * the start, where that is kept), a second model that is not trained.
   */
  reference: "none" | "same" | "copy";
  /** Of a copy: its `precision`, and whether it is `writable`, to follow the policy. */
  referencePrecision: TrainingArgs["precision"];
  referenceWritable: boolean;
  /** Steps before these, with as many other pictures: a model keeps what a frozen vision tower made of them. */
  earlierSteps: number;
  /** Completions that are under way at once; 0: all. */
  maxRows: number;
  /** Prompts that an evaluation before the training hands over at once; 0: there is none. */
  evaluated: number;
  /** Of these, how many are answered at once; 0: all. */
  evaluatedRows: number;
}

/** Bytes by what they are for. */
export type MemoryUse = Record<"weights" | "gradients" | "optimizer" | "activations" | "kvCache" | "workspace", number>;

export interface NativeEstimate {
  /** With the instruction set and the number of threads, on which workspace depends. */
  device: string;
  info: ModelInfo;
  /** Pixel values of all prompts. */
  pictureBytes: number;
  phases: {
    name: "load" | "evaluate" | "generate" | "reference" | "train" | "optimize";
    /** At the phase's peak. */
    use: MemoryUse;
    /** Of the system's memory at its end, with what is kept for reuse. */
    held: number;
  }[];
}

export interface ProcessImageArgs {
  /** RGB, 8 bit, `height × width × 3`. */
  rgb: Uint8Array;
  width: number;
  height: number;
  resizedWidth: number;
  resizedHeight: number;
  patchSize: number;
  temporalPatchSize: number;
  mergeSize: number;
  mean: number[];
  std: number[];
  rescaleFactor: number;
}

export interface NativeImage {
  /** `[P, 3 · temporalPatchSize · patchSize²]`, patches in merge-block order. */
  pixelValues: Float32Array;
  /** Patches along time, height, width. */
  grid: [number, number, number];
}

export interface NativePrompt {
  /** Token ids; each picture stands as `t·h·w / mergeSize²` image-pad tokens. */
  tokens: Int32Array;
  images: NativeImage[];
}

export interface ModelInfo {
  modelType: string;
  parameters: number;
  trainableParameters: number;
  vocabSize: number;
  imageTokenId: number;
  videoTokenId: number;
  patchSize: number;
  temporalPatchSize: number;
  mergeSize: number;
  maxPositionEmbeddings: number;
}

export interface SamplingArgs {
  /** 0: greedy. */
  temperature: number;
  /** 0: off. */
  topK: number;
  /** 1: off. */
  topP: number;
  /** 0: off. */
  minP: number;
  /** 1: off. */
  repetitionPenalty: number;
  maxNewTokens: number;
  /** End tokens; the one that ended a completion is its last token. */
  stopTokens: number[];
}

/**
 * Whether a forward pass sees the adapter: "on" as it is, "off" the model without it, "start" as it was loaded. The
 * last two are the reference policies of a fresh adapter and of one that was there before.
 */
export type AdapterUse = "on" | "off" | "start";

export interface GenerateArgs {
  prompts: NativePrompt[];
  /** Completions per prompt. */
  n: number;
  sampling: SamplingArgs;
  /** Same seed, same completions, whatever else is in the batch. */
  seed: number;
  /** Number of the first prompt's row in the run, so that prompt i uses random stream `firstRow + i`. */
  firstRow: number;
  adapter: AdapterUse;
  /** Completions that are under way at once: the next ones join as others end. 0: all of them. */
  maxRows: number;
}

export interface NativeCompletion {
  tokens: Int32Array;
  /** Of the plain policy: log-softmax of logits / temperature (temperature 1 when greedy), no filter, no penalty. */
  logProbs: Float32Array;
  /** Of the distribution that was sampled from (after penalty, ban and filters). */
  samplingLogProbs: Float32Array;
  finishReason: "stop" | "length";
}

export interface GenerateProgress {
  tokens: number;
  finished: number;
  total: number;
  /** Tokens since the last report, in the order in which they were drawn; `completion` counts over all prompts' n. */
  news: { completion: number; token: number }[];
}

/** One prompt and the completions that hang from it. */
export interface NativeGroup {
  prompt: NativePrompt;
  completions: Int32Array[];
}

export interface LogProbsArgs {
  groups: NativeGroup[];
  temperature: number;
  adapter: AdapterUse;
}

export interface TokenScores {
  logProbs: Float32Array;
  entropy: Float32Array;
}

export interface StepArgs {
  /** By part of the model. */
  learningRate: Record<ModelPart, number>;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled; of tensors with two or more axes that `noDecay` does not name. */
  weightDecay: number;
  /** Infinity: no clipping. */
  maxGradNorm: number;
  /** Names the random numbers of stochastic rounding, with the number of the update and of the weight. */
  seed: number;
}

export interface StepResult {
  /** Before clipping, and after. */
  gradNorm: number;
  gradNormClipped: number;
  /** A non-finite gradient: nothing was changed. */
  skipped: boolean;
  /** Names of parameters with a non-finite gradient (at most ten). */
  nonFinite: string[];
  /**
   * Names of parameters (at most ten) where an update would have made a weight or one of its moments non-finite: that
   * weight was left as it was, with its moments.
   */
  nonFiniteWeights: string[];
}

export type SaveDType = "f32" | "bf16" | "f16";

export interface SaveArgs {
  /** Folder for "model" and "merged"; file for "adapter", "gradients" and "state". */
  path: string;
  /**
   * "model": the weights without the adapter, `model.safetensors` or shards with an index. "merged": with the adapter
   * added in. "adapter": adapter_model.safetensors in PEFT's format. "state": what trains, its moments, the step count.
   */
  what: "model" | "merged" | "adapter" | "gradients" | "state";
  dtype: SaveDType;
  maxShardBytes: number;
}

export interface NativeModel {
  info(): ModelInfo;
  generate(
    args: GenerateArgs,
    onProgress: ((p: GenerateProgress) => void) | null,
    abort: AbortFlag,
  ): Promise<NativeCompletion[][]>;
  /** A decoder of this model with at most so many requests under way at once (0: no limit). */
  openDecoder(args: { maxRows: number; adapter: AdapterUse }): NativeDecoder;
  logProbs(args: LogProbsArgs, abort: AbortFlag): Promise<TokenScores[][]>;
  /** Forward and backward of one micro-batch; gradients are added to those that are there. */
  accumulate(args: AccumulateArgs, abort: AbortFlag): Promise<AccumulateResult>;
  zeroGradients(abort: AbortFlag): Promise<void>;
  /** AdamW with the accumulated gradients, which are zero afterwards. */
  step(args: StepArgs, abort: AbortFlag): Promise<StepResult>;
  save(args: SaveArgs, abort: AbortFlag): Promise<void>;
  /** Trained parameters (of a writable model: all), moments and step count of an earlier `save({ what: "state" })`. */
  loadState(args: { path: string }, abort: AbortFlag): Promise<void>;
  /**
   * Every weight of this writable model = alpha · that of `source`, a model of the same engine, + (1 − alpha) · its
   * own.
   */
  blend(args: { source: NativeModel; alpha: number }, abort: AbortFlag): Promise<void>;
  dispose(): void;
}
