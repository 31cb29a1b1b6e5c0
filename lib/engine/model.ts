import { fromNative, VlmR1Error } from "../errors/index.js";
import { Decoder } from "./decoder.js";
import { type CallOptions, raiseFlag, underSignal } from "./guard.js";
import type { AccumulateArgs, AccumulateResult } from "./native-loss-types.js";
import type {
  AdapterUse,
  GenerateProgress,
  ModelInfo,
  NativeCompletion,
  NativeGroup,
  NativeModel,
  NativePrompt,
  SamplingArgs,
  SaveArgs,
  SaveDType,
  StepArgs,
  StepResult,
  TokenScores,
} from "./native-types.js";
import { DEFAULT_SHARD_BYTES } from "./shards.js";

export interface GenerateOptions extends CallOptions {
  prompts: readonly NativePrompt[];
  /** Completions per prompt; 1 unless given. */
  n?: number | undefined;
  sampling?: Partial<SamplingArgs> | undefined;
  seed?: number | undefined;
  /** Number of the first prompt in the run: prompt i draws from random stream `firstRow + i`. */
  firstRow?: number | undefined;
  /** "on" unless given. */
  adapter?: AdapterUse | undefined;
  /**
   * Completions that are under way at once, over all prompts: the next ones join as others end. It bounds the memory of
   * keys and values and changes no number. 0, or not given: all of them.
   */
  maxRows?: number | undefined;
  onProgress?: ((progress: GenerateProgress) => void) | undefined;
}

export interface LogProbsOptions extends CallOptions {
  groups: readonly NativeGroup[];
  temperature?: number | undefined;
  /** "on" unless given. */
  adapter?: AdapterUse | undefined;
}

export interface AccumulateOptions extends Omit<AccumulateArgs, "dropoutSeed">, CallOptions {
  /** Names the adapter's dropout; 0 unless given. */
  dropoutSeed?: number | undefined;
}

export interface StepOptions extends Partial<Omit<StepArgs, "learningRate">>, CallOptions {
  /** Of all parts of the model, or by part. */
  learningRate: number | StepArgs["learningRate"];
}

export interface SaveOptions extends CallOptions {
  what?: SaveArgs["what"] | undefined;
  dtype?: SaveDType | undefined;
  maxShardBytes?: number | undefined;
}

const DEFAULT_SAMPLING: SamplingArgs = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  maxNewTokens: 256,
  stopTokens: [],
};

/**
 * A model that an engine holds. Every call runs on the engine's thread in the order of the calls, takes a `signal`,
 * and rejects with a `VlmR1Error`. Call `dispose()` (or `using`) when done: the garbage collector does not see the
 * memory behind it.
 */
export class Model {
  /** @internal Made by `Engine.loadModel`. */
  constructor(
    private native: NativeModel | undefined,
    readonly directory: string,
    private readonly onDispose: (model: Model) => void = () => {},
  ) {}

  get disposed(): boolean {
    return this.native === undefined;
  }

  info(): ModelInfo {
    return this.open("info").info();
  }

  /**
   * Completions per prompt, `[prompt][n]`. Each prompt is encoded once for all its completions, when the first of them
   * begins.
   */
  async generate(options: GenerateOptions): Promise<NativeCompletion[][]> {
    const native = this.open("generate");
    const { prompts, n = 1, sampling, seed = 0, firstRow = 0, adapter = "on", maxRows = 0 } = options;
    const { signal, onProgress } = options;
    const args = {
      prompts: prompts.map(barePrompt),
      n,
      sampling: { ...DEFAULT_SAMPLING, ...sampling },
      seed,
      firstRow,
      adapter,
      maxRows,
    };
    // An exception must not travel through native frames: it ends the generation and is thrown from here.
    let failure: { error: unknown } | undefined;
    const result = underSignal(signal, (flag) => {
      const report = (progress: GenerateProgress) => {
        if (failure !== undefined) return;
        try {
          onProgress?.(progress);
        } catch (error) {
          failure = { error };
          raiseFlag(flag);
        }
      };
      return native.generate(args, onProgress === undefined ? null : report, flag);
    });
    try {
      const completions = await result;
      if (failure === undefined) return completions;
    } catch (error) {
      if (failure === undefined) throw error;
    }
    throw failure.error;
  }

  /**
   * A decoder of this model, for requests that come while others are answered. `maxRows` (0, or not given: no limit)
   * bounds how many are under way at once. It keeps the model's memory until it is disposed too, or the model is.
   */
  openDecoder({ maxRows = 0, adapter = "on" }: { maxRows?: number; adapter?: AdapterUse } = {}): Decoder {
    const native = this.open("openDecoder");
    try {
      return new Decoder(native.openDecoder({ maxRows, adapter }));
    } catch (error) {
      throw fromNative(error);
    }
  }

  /** Log-probability and entropy of every completion token by teacher forcing, `[group][completion]`. */
  async logProbs(options: LogProbsOptions): Promise<TokenScores[][]> {
    const native = this.open("logProbs");
    const { groups, temperature = 1, adapter = "on", signal } = options;
    const args = { groups: groups.map(bareGroup), temperature, adapter };
    return underSignal(signal, (flag) => native.logProbs(args, flag));
  }

  /** Forward and backward of one micro-batch; gradients are added to those that are there. */
  async accumulate(options: AccumulateOptions): Promise<AccumulateResult> {
    const native = this.open("accumulate");
    const { groups, loss, dropoutSeed = 0, signal } = options;
    const args = { groups: groups.map(bareGroup), loss, dropoutSeed };
    return underSignal(signal, (flag) => native.accumulate(args, flag));
  }

  async zeroGradients({ signal }: CallOptions = {}): Promise<void> {
    const native = this.open("zeroGradients");
    return underSignal(signal, (flag) => native.zeroGradients(flag));
  }

  /** One AdamW step with the accumulated gradients, which are zero afterwards. */
  async step(options: StepOptions): Promise<StepResult> {
    const native = this.open("step");
    const { signal, learningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
    const { weightDecay = 0, maxGradNorm = Number.POSITIVE_INFINITY, seed = 0 } = options;
    const rates =
      typeof learningRate === "number"
        ? { vision: learningRate, merger: learningRate, language: learningRate }
        : learningRate;
    const args: StepArgs = { learningRate: rates, beta1, beta2, epsilon, weightDecay, maxGradNorm, seed };
    return underSignal(signal, (flag) => native.step(args, flag));
  }

  /** Writes weights into a folder ("model", the default, and "merged"), or the adapter, gradients or state into a file. */
  async save(path: string, options: SaveOptions = {}): Promise<void> {
    const native = this.open("save");
    const { what = "model", dtype = "f32", maxShardBytes = DEFAULT_SHARD_BYTES, signal } = options;
    return underSignal(signal, (flag) => native.save({ path, what, dtype, maxShardBytes }, flag));
  }

  /** Parameters, optimizer moments and step count of an earlier `save(path, { what: "state" })`. */
  async loadState(path: string, { signal }: CallOptions = {}): Promise<void> {
    const native = this.open("loadState");
    return underSignal(signal, (flag) => native.loadState({ path }, flag));
  }

  /** Moves every weight of this writable model towards those of `source`: alpha · source + (1 − alpha) · own. */
  async blend(source: Model, alpha: number, { signal }: CallOptions = {}): Promise<void> {
    const native = this.open("blend");
    const other = source.open("blend");
    return underSignal(signal, (flag) => native.blend({ source: other, alpha }, flag));
  }

  /** Frees the model's memory; safe to call twice. */
  dispose(): void {
    this.native?.dispose();
    this.native = undefined;
    this.onDispose(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private open(verb: string): NativeModel {
    if (this.native !== undefined) return this.native;
    throw new VlmR1Error("ERR_STATE", `${verb}: the model of ${this.directory} was disposed`, {
      hint: "Load it again, or dispose it after its last use.",
    });
  }
}

/** Prompts carry more than the addon reads (sizes, text); it gets only its own fields. */
function barePrompt({ tokens, images }: NativePrompt): NativePrompt {
  return { tokens, images };
}

function bareGroup({ prompt, completions }: NativeGroup): NativeGroup {
  return { prompt: barePrompt(prompt), completions };
}
