// Made by scripts/make-options.mjs from the schema: change the descriptions there.
import type { SftInput } from "./train-schema.js";

/** Options of `sft` and of the `Trainer`; checked by the schema of the same names. */
export interface SftOptions {
  /** Folder or hub name of a Hugging Face checkpoint, or of an adapter that names one. */
  model: SftInput["model"];
  /** Branch, tag or commit of a hub name (default: main). */
  revision?: SftInput["revision"];
  /** Folder or hub name of a LoRA adapter in PEFT's format. Also adapterNameOrPath in files and flags. */
  adapter?: SftInput["adapter"];
  /**
   * Type of what products read; auto: frozen weights as they are stored, all else f32; bf16: weights and
   * activations, with f32 sums and f32 masters of what trains. Default: "auto". Also torchDtype, dtype in files and
   * flags.
   */
  precision?: SftInput["precision"];
  /** Where to compute; auto takes CUDA where there is one. Default: "auto". */
  device?: SftInput["device"];
  /**
   * CPU threads, and pictures that are decoded at a time; 0: one per physical core that this process may use
   * (default: VLMR1_THREADS, else 0).
   */
  threads?: SftInput["threads"];
  /** Force a CPU instruction set: baseline, avx2, avx512, avx512_bf16 (default: VLMR1_CPU_ISA, else the best). */
  isa?: SftInput["isa"];
  /** Least pixels of a resized picture (default: the model's). */
  minPixels?: SftInput["minPixels"];
  /** Most pixels of a resized picture; fewer cost less (default: the model's). */
  maxPixels?: SftInput["maxPixels"];
  /** Transparent pictures: paste on white, or drop the alpha channel. Default: "white". */
  alpha?: SftInput["alpha"];
  /** Conversations JSON or JSONL; several as a.json:b.jsonl. Also data, dataFilePaths in files and flags. */
  dataset: SftInput["dataset"];
  /** Folder of relative picture paths: one for all data files or one each (default: the file's own). */
  imageFolders?: SftInput["imageFolders"];
  /**
   * How much of the questions comes from each data file, as shares of their sum (default: their rows). Also
   * interleaveProb in files and flags.
   */
  datasetWeights?: SftInput["datasetWeights"];
  /** Held-out conversations for evaluation. Also testDataset in files and flags. */
  evalDataset?: SftInput["evalDataset"];
  /** The same for the held-out data. */
  evalImageFolders?: SftInput["evalImageFolders"];
  /**
   * Without eval_dataset: hold out this share of the rows, chosen by the seed; rows with the same picture stay
   * together. Default: 0. Also splitDatasetRatio, evalSplit in files and flags.
   */
  valSplitRatio?: SftInput["valSplitRatio"];
  /** Written after every question. Default: "". */
  promptSuffix?: SftInput["promptSuffix"];
  /** Leave out rows whose prompt has more tokens, pictures included (default: what the model has room for). */
  maxPromptLength?: SftInput["maxPromptLength"];
  /** Show pictures shifted, scaled, mirrored and recoloured, anew every epoch. Default: false. */
  augment?: SftInput["augment"];
  /** A new order every epoch, computed from the seed. Default: true. */
  shuffleDataset?: SftInput["shuffleDataset"];
  /** One data file after another, each shuffled in itself: put the easy ones first. Default: false. */
  curriculum?: SftInput["curriculum"];
  /** Folder of the run (default: runs/<objective>-<date and time>). */
  outputDir?: SftInput["outputDir"];
  /** Replace an earlier run in that folder. Default: false. */
  overwriteOutputDir?: SftInput["overwriteOutputDir"];
  /**
   * Go on from the newest whole checkpoint in the run's folder, or from the checkpoint that is named. Default:
   * false. Also resumeFromCheckpoint in files and flags.
   */
  resume?: SftInput["resume"];
  /** Seed of every random number. Default: 0. */
  seed?: SftInput["seed"];
  /** Steps to train; wins over num_train_epochs where it is not -1. Default: -1. */
  maxSteps?: SftInput["maxSteps"];
  /** Passes over the data. Default: 3. */
  numTrainEpochs?: SftInput["numTrainEpochs"];
  /** Where the output is no terminal: print a line every N steps. Default: 10. */
  loggingSteps?: SftInput["loggingSteps"];
  /** Trackers, beside metrics.jsonl: tensorboard writes event files into the run's folder. Default: ["tensorboard"]. */
  reportTo?: SftInput["reportTo"];
  /** Make report.html in the run's folder when the command's run ends. Default: true. */
  report?: SftInput["report"];
  /** What trackers call the run (default: the name of its folder). */
  runName?: SftInput["runName"];
  /**
   * Serve a page that shows the run as it goes on, and takes commands (port, unless named: 8790 or the next that is
   * free; 0: any free one). Default: false.
   */
  dashboard?: SftInput["dashboard"];
  /**
   * Address that the dashboard is served at; others than 127.0.0.1 let other machines in, with a token. Default:
   * "127.0.0.1".
   */
  dashboardHost?: SftInput["dashboardHost"];
  /**
   * Record what time goes to, print the largest parts, and write a trace for Perfetto (file, unless named:
   * trace.json in the run's folder).
   */
  profile?: SftInput["profile"];
  /** Steps that a profile records, after the first one. Default: 3. */
  profileSteps?: SftInput["profileSteps"];
  /** Write a checkpoint every N steps; 0: only at the end or on Ctrl-C. Default: 100. */
  saveSteps?: SftInput["saveSteps"];
  /** Newest checkpoints to keep, beside the best one. Default: 2. */
  saveTotalLimit?: SftInput["saveTotalLimit"];
  /** Write the trained model (with LoRA: the adapter) into this folder too, when the run is done. */
  saveModelTo?: SftInput["saveModelTo"];
  /** LoRA: write the model with the adapter merged in into this folder, when the run is done. */
  saveMergedTo?: SftInput["saveMergedTo"];
  /** Type of saved weights; auto: as the model's config.json says. Default: "auto". */
  saveDtype?: SftInput["saveDtype"];
  /** Cut saved weights into files of at most this size. Default: "5GB". */
  maxShardSize?: SftInput["maxShardSize"];
  /** Evaluate every N steps, on eval_dataset or what val_split_ratio holds out; 0: never. Default: 0. */
  evalSteps?: SftInput["evalSteps"];
  /**
   * Answers that grow at once in an evaluation; the next ones join as others end. Default: 16. Also
   * perDeviceEvalBatchSize in files and flags.
   */
  evalBatchSize?: SftInput["evalBatchSize"];
  /** Evaluation: sampling temperature; 0: greedy. Default: 0. */
  evalTemperature?: SftInput["evalTemperature"];
  /** Evaluation: answers per question; more than one needs eval_temperature. Default: 1. */
  numGenerationsEval?: SftInput["numGenerationsEval"];
  /** The checkpoint after the evaluation where this is best is kept. Default: "eval_reward". */
  metricForBestModel?: SftInput["metricForBestModel"];
  /** Whether more of metric_for_best_model is better (default: unless its name ends with loss). */
  greaterIsBetter?: SftInput["greaterIsBetter"];
  /** End with the weights of the best checkpoint. Default: false. */
  loadBestModelAtEnd?: SftInput["loadBestModelAtEnd"];
  /** Stop after this many evaluations in a row without a better one; 0: never. Default: 0. */
  earlyStoppingPatience?: SftInput["earlyStoppingPatience"];
  /** How much better counts as better. Default: 0. */
  earlyStoppingThreshold?: SftInput["earlyStoppingThreshold"];
  /** Highest learning rate. Default: 0.00002. Also lr in files and flags. */
  learningRate?: SftInput["learningRate"];
  /** Leave the vision tower as it is, and the merger too. Default: false. Also freezeVision in files and flags. */
  freezeVisionModules?: SftInput["freezeVisionModules"];
  /** Leave the merger behind the vision tower as it is (default: as freeze_vision_modules). */
  freezeMerger?: SftInput["freezeMerger"];
  /** Leave these parameters as they are: ends of names, or regular expressions. */
  freezePatterns?: SftInput["freezePatterns"];
  /** Train no parameters but these: ends of names, or regular expressions. */
  trainablePatterns?: SftInput["trainablePatterns"];
  /** Train a LoRA adapter in place of the weights (default: whether adapter is given). Also lora in files and flags. */
  usePeft?: SftInput["usePeft"];
  /** LoRA: rank (default: 16). Also loraRank in files and flags. */
  loraR?: SftInput["loraR"];
  /** LoRA: scale times rank (default: 32). */
  loraAlpha?: SftInput["loraAlpha"];
  /** LoRA: share of inputs that the adapter does not see in training (default: 0). */
  loraDropout?: SftInput["loraDropout"];
  /**
   * LoRA: layers by the end of their name, or by a regular expression for all of it; all-linear: every one but
   * lm_head (default: all linear layers of the language model).
   */
  loraTargetModules?: SftInput["loraTargetModules"];
  /** LoRA: scale by alpha / √rank in place of alpha / rank. */
  useRslora?: SftInput["useRslora"];
  /** LoRA: adapt the linear layers of the vision tower too. */
  loraVision?: SftInput["loraVision"];
  /** LoRA: adapt the linear layers of the merger too. */
  loraMerger?: SftInput["loraMerger"];
  /** The same for the vision tower (default: learning_rate). Also vitLr in files and flags. */
  visionLearningRate?: SftInput["visionLearningRate"];
  /** The same for the merger behind it (default: learning_rate). Also alignerLr in files and flags. */
  mergerLearningRate?: SftInput["mergerLearningRate"];
  /** Adamw_8bit holds the moments in one byte each, in blocks with a scale. Default: "adamw". */
  optim?: SftInput["optim"];
  /**
   * Bf16 without f32 masters: updates are rounded up or down at random, true on average; less memory. Default:
   * false. Also bf16StochasticRound in files and flags.
   */
  stochasticRounding?: SftInput["stochasticRounding"];
  /** Course of the learning rate. Default: "linear". */
  lrSchedulerType?: SftInput["lrSchedulerType"];
  /** Its own settings: num_cycles, power, lr_end, min_lr, min_lr_rate, num_decay_steps …. */
  lrSchedulerKwargs?: SftInput["lrSchedulerKwargs"];
  /** Steps over which the learning rate rises from 0. Default: 0. */
  warmupSteps?: SftInput["warmupSteps"];
  /** The same as a share of all steps. Default: 0. */
  warmupRatio?: SftInput["warmupRatio"];
  /** AdamW: decay of the first moment. Default: 0.9. */
  adamBeta1?: SftInput["adamBeta1"];
  /** AdamW: decay of the second moment. Default: 0.999. */
  adamBeta2?: SftInput["adamBeta2"];
  /** AdamW: added to the denominator. Default: 1e-8. */
  adamEpsilon?: SftInput["adamEpsilon"];
  /** AdamW: decoupled weight decay; never of norms and biases. Default: 0. */
  weightDecay?: SftInput["weightDecay"];
  /** No weight decay of these parameters either: ends of names, or regular expressions. */
  weightDecayExclude?: SftInput["weightDecayExclude"];
  /** Clip the norm of the gradient; 0: do not. Default: 1. */
  maxGradNorm?: SftInput["maxGradNorm"];
  /** Compute activations again in the backward pass: less memory, more time, the same bits. Default: true. */
  gradientCheckpointing?: SftInput["gradientCheckpointing"];
  /** Questions per step of gradient accumulation (in TRL's terms: per-device batch size ÷ generations). Default: 8. */
  promptsPerStep?: SftInput["promptsPerStep"];
  /** Times prompts_per_step: the questions of one optimizer update. Default: 1. */
  gradientAccumulationSteps?: SftInput["gradientAccumulationSteps"];
  /**
   * Packed tokens of one forward and backward pass; bounds the memory; auto: 1024 or one group, whichever is more,
   * and less where that would not fit. Default: "auto".
   */
  maxTokensPerMicrobatch?: SftInput["maxTokensPerMicrobatch"];
  /** Most tokens of a completion. Default: 256. Also maxNewTokens in files and flags. */
  maxCompletionLength?: SftInput["maxCompletionLength"];
  /**
   * Built-in rewards and files of your own, as ./mine.mjs or ./mine.mjs#name; settings follow a question mark, as
   * in cosine?max_len=256. Default: ["content","format"]. Also reward, rewardFuncs in files and flags.
   */
  rewards?: SftInput["rewards"];
  /** One weight per reward (default: all 1). */
  rewardWeights?: SftInput["rewardWeights"];
  /** Seconds that one call of a reward may take. Default: 30. */
  rewardTimeout?: SftInput["rewardTimeout"];
  /** Calls of one reward that may wait for an answer at once. Default: 64. */
  rewardConcurrency?: SftInput["rewardConcurrency"];
  /** How often a call that failed is repeated, with growing pauses. Default: 0. */
  rewardRetries?: SftInput["rewardRetries"];
}
