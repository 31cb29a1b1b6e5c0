import type {
  AbortFlag,
  EstimateArgs,
  GenerateArgs,
  GenerateProgress,
  NativeAddon,
  NativeEngine,
  NativeEngineOptions,
  NativeEstimate,
  NativeImage,
  NativeModel,
  NativeProfile,
  ProcessImageArgs,
} from "../../lib/engine/native-types.js";
import { fakeDecoder } from "./fake-decoder.js";
import { NOTHING_CLIPPED } from "./loss.js";
import { tinyParameters } from "./tiny-parameters.js";

/** What a fake was called with, verb by verb. */
export type Calls = { verb: string; args: unknown }[];

export interface FakeOptions {
  cuda?: { available: boolean; reason: string };
  /** Tokens of every completion. */
  tokens?: number[];
  finishReason?: "stop" | "length";
  /** Tokens that are reported while the completion is drawn, report by report. */
  news?: number[][];
  /** What a decoder answers every request with. */
  decoded?: number[];
  /** A verb that waits for its abort flag; others answer at once. */
  hangs?: string;
  /** How many calls of that verb are answered before. */
  answersFirst?: number;
  /** A verb that rejects, and with what. */
  fails?: { verb: string; error: Error };
}

/** An addon of the native surface's shape that computes nothing. */
export function fakeAddon(options: FakeOptions = {}): NativeAddon & { calls: Calls; flags: AbortFlag[] } {
  const calls: Calls = [];
  const flags: AbortFlag[] = [];
  const answer = async <T>(verb: string, args: unknown, flag: AbortFlag, value: () => T): Promise<T> => {
    const earlier = calls.filter((call) => call.verb === verb).length;
    calls.push({ verb, args });
    flags.push(flag);
    if (options.fails?.verb === verb) throw options.fails.error;
    if (options.hangs === verb && earlier >= (options.answersFirst ?? 0)) await untilRaised(flag);
    return value();
  };
  class FakeEngine implements NativeEngine {
    readonly device: string;
    readonly threads: number;
    readonly isa: string;
    constructor(given: NativeEngineOptions) {
      calls.push({ verb: "open", args: given });
      this.device = given.device;
      this.threads = given.threads === 0 ? 2 : given.threads;
      this.isa = given.isa === "" ? "avx2" : given.isa;
    }
    describeModel: NativeEngine["describeModel"] = (args) => {
      calls.push({ verb: "describeModel", args });
      if (options.fails?.verb === "describeModel") throw options.fails.error;
      return { info: model.info(), parameters: tinyParameters() };
    };
    loadModel: NativeEngine["loadModel"] = (args, flag) => answer("loadModel", args, flag, () => model);
    initModel: NativeEngine["initModel"] = (args, flag) =>
      answer("initModel", args, flag, () => ({ parameters: 1234 }));
    processImage: NativeEngine["processImage"] = (args, flag) =>
      answer("processImage", args, flag, () => blankImage(args));
    estimate: NativeEngine["estimate"] = (args, flag) =>
      answer("estimate", args, flag, () => fakeEstimate(args, model.info()));
    memory = () => ({ used: 1, peak: 2, held: 2 });
    clock = () => 1000 * performance.now();
    startProfile: NativeEngine["startProfile"] = (flag) => answer("startProfile", undefined, flag, () => undefined);
    stopProfile: NativeEngine["stopProfile"] = (flag) => answer("stopProfile", undefined, flag, emptyProfile);
    dispose = () => {
      calls.push({ verb: "engine.dispose", args: undefined });
    };
  }
  const model = fakeModel(answer, calls, options);
  return {
    version: "0.0.0-fake",
    cpuInfo: () => ({
      compiled: ["baseline", "avx2"],
      supported: ["baseline", "avx2"],
      selected: "avx2",
      logicalCores: 2,
    }),
    cudaInfo: () => options.cuda ?? { available: false, reason: "built without CUDA" },
    computeLoss: ({ logProbs }) => ({
      ...{ loss: 1, policyLoss: 1, tokens: 1, entropySum: 0, klSum: 0, clip: NOTHING_CLIPPED, entropyGradient: [] },
      gradient: logProbs.map((group) => group.map(({ length }) => new Float32Array(length))),
    }),
    Engine: FakeEngine,
    calls,
    flags,
  };
}

type Answer = <T>(verb: string, args: unknown, flag: AbortFlag, value: () => T) => Promise<T>;

function fakeModel(answer: Answer, calls: Calls, options: FakeOptions): NativeModel {
  const scores = (length: number) => new Float32Array(length).fill(-0.5);
  return {
    info: () => ({
      modelType: "qwen2_5_vl",
      parameters: 10,
      trainableParameters: 10,
      vocabSize: 320,
      imageTokenId: 314,
      videoTokenId: 315,
      patchSize: 14,
      temporalPatchSize: 2,
      mergeSize: 2,
      maxPositionEmbeddings: 512,
    }),
    generate: (args, onProgress, flag) => {
      for (const tokens of options.news ?? []) {
        const news = tokens.map((token) => ({ completion: 0, token }));
        onProgress?.({ tokens: 1, finished: 0, total: args.n, news });
      }
      return answer("generate", args, flag, () => {
        onProgress?.({ tokens: 1, finished: 0, total: args.n, news: [] } satisfies GenerateProgress);
        if (flag[0] !== 0) throw aborted();
        return args.prompts.map(() => completions(args, options));
      });
    },
    openDecoder: ({ maxRows }) => fakeDecoder({ answer: () => options.decoded ?? [7], maxRows }),
    logProbs: (args, flag) =>
      answer("logProbs", args, flag, () =>
        args.groups.map(({ completions: all }) =>
          all.map(({ length }) => ({ logProbs: scores(length), entropy: scores(length) })),
        ),
      ),
    accumulate: (args, flag) =>
      answer("accumulate", args, flag, () => ({
        loss: 1,
        policyLoss: 1,
        tokens: 1,
        entropySum: 0,
        klSum: 0,
        clip: NOTHING_CLIPPED,
        logProbs: args.groups.map(({ completions: all }) => all.map(({ length }) => scores(length))),
      })),
    zeroGradients: (flag) => answer("zeroGradients", undefined, flag, () => undefined),
    step: (args, flag) =>
      answer("step", args, flag, () => ({
        gradNorm: 1,
        gradNormClipped: 1,
        skipped: false,
        nonFinite: [],
        nonFiniteWeights: [],
      })),
    save: (args, flag) => answer("save", args, flag, () => undefined),
    blend: (args, flag) => answer("blend", args, flag, () => undefined),
    loadState: (args, flag) => answer("loadState", args, flag, () => undefined),
    dispose: () => {
      calls.push({ verb: "model.dispose", args: undefined });
    },
  };
}

function completions({ n }: GenerateArgs, { tokens = [1, 2], finishReason = "stop" }: FakeOptions) {
  const logProbs = Float32Array.from(tokens, () => -0.25);
  return Array.from({ length: n }, () => ({
    tokens: Int32Array.from(tokens),
    logProbs,
    samplingLogProbs: logProbs,
    finishReason,
  }));
}

function blankImage(args: ProcessImageArgs): NativeImage {
  const grid: [number, number, number] = [1, args.resizedHeight / args.patchSize, args.resizedWidth / args.patchSize];
  const patch = 3 * args.temporalPatchSize * args.patchSize ** 2;
  return { pixelValues: new Float32Array(grid[1] * grid[2] * patch), grid };
}

/** A gigabyte of weights, two where a second model is held, and a megabyte for every token of a micro-batch. */
function fakeEstimate(args: EstimateArgs, info: NativeEstimate["info"]): NativeEstimate {
  const tokensOf = (prompt: number) => (args.prompts[prompt]?.tokens ?? 0) + args.completions * args.maxNewTokens;
  const batches = args.microBatches.map((batch) => batch.reduce((sum, prompt) => sum + tokensOf(prompt), 0));
  const activations = 1e6 * Math.max(...batches) * (args.gradientCheckpointing ? 1 : 2);
  const weights = 1e9 * (args.reference === "copy" ? 2 : 1);
  const none = { gradients: 0, optimizer: 0, activations: 0, kvCache: 0, workspace: 0 };
  return {
    device: "cpu/avx2/2",
    info,
    pictureBytes: 100,
    phases: [
      { name: "load", use: { ...none, weights }, held: weights },
      { name: "train", use: { ...none, weights, activations }, held: weights + activations + 500 },
    ],
  };
}

function emptyProfile(): NativeProfile {
  const none = new Float64Array();
  const numbers = new Int32Array();
  const columns = { start: none, duration: none, flops: none, bytes: none, name: numbers, detail: numbers };
  return { names: [], details: [], ...columns, dropped: 0 };
}

async function untilRaised(flag: AbortFlag): Promise<never> {
  while (Atomics.load(flag, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  throw aborted();
}

function aborted(): Error {
  return Object.assign(new Error("aborted"), { code: "ERR_ABORTED" });
}
