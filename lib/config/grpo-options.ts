// Made by scripts/make-options.mjs from the schema: change the descriptions there.
import type { GrpoInput } from "./train-schema.js";

/** Options of `train` and of the `Trainer`; checked by the schema of the same names. */
export interface GrpoOptions {
  /** Folder or hub name of a Hugging Face checkpoint, or of an adapter that names one. */
  model: GrpoInput["model"];
  /** Branch, tag or commit of a hub name (default: main). */
  revision?: GrpoInput["revision"];
  /** Folder or hub name of a LoRA adapter in PEFT's format. Also adapterNameOrPath in files and flags. */
  adapter?: GrpoInput["adapter"];
  /**
   * Type of what products read; auto: frozen weights as they are stored, all else f32; bf16: weights and
   * activations, with f32 sums and f32 masters of what trains. Default: "auto". Also torchDtype, dtype in files and
   * flags.
   */
  precision?: GrpoInput["precision"];
  /** Where to compute; auto takes CUDA where there is one. Default: "auto". */
  device?: GrpoInput["device"];
  /**
   * CPU threads, and pictures that are decoded at a time; 0: one per physical core that this process may use
   * (default: VLMR1_THREADS, else 0).
   */
  threads?: GrpoInput["threads"];
  /** Force a CPU instruction set: baseline, avx2, avx512, avx512_bf16 (default: VLMR1_CPU_ISA, else the best). */
  isa?: GrpoInput["isa"];
  /** Least pixels of a resized picture (default: the model's). */
  minPixels?: GrpoInput["minPixels"];
  /** Most pixels of a resized picture; fewer cost less (default: the model's). */
  maxPixels?: GrpoInput["maxPixels"];
  /** Transparent pictures: paste on white, or drop the alpha channel. Default: "white". */
  alpha?: GrpoInput["alpha"];
  /** Conversations JSON or JSONL; several as a.json:b.jsonl. Also data, dataFilePaths in files and flags. */
  dataset: GrpoInput["dataset"];
  /** Folder of relative picture paths: one for all data files or one each (default: the file's own). */
  imageFolders?: GrpoInput["imageFolders"];
  /**
   * How much of the questions comes from each data file, as shares of their sum (default: their rows). Also
   * interleaveProb in files and flags.
   */
  datasetWeights?: GrpoInput["datasetWeights"];
  /** Held-out conversations for evaluation. Also testDataset in files and flags. */
  evalDataset?: GrpoInput["evalDataset"];
  /** The same for the held-out data. */
  evalImageFolders?: GrpoInput["evalImageFolders"];
  /**
   * Without eval_dataset: hold out this share of the rows, chosen by the seed; rows with the same picture stay
   * together. Default: 0. Also splitDatasetRatio, evalSplit in files and flags.
   */
  valSplitRatio?: GrpoInput["valSplitRatio"];
  /** Written after every question. Default: "". */
  promptSuffix?: GrpoInput["promptSuffix"];
  /** Leave out rows whose prompt has more tokens, pictures included (default: what the model has room for). */
  maxPromptLength?: GrpoInput["maxPromptLength"];
  /** Show pictures shifted, scaled, mirrored and recoloured, anew every epoch. Default: false. */
  augment?: GrpoInput["augment"];
  /** A new order every epoch, computed from the seed. Default: true. */
  shuffleDataset?: GrpoInput["shuffleDataset"];
  /** One data file after another, each shuffled in itself: put the easy ones first. Default: false. */
  curriculum?: GrpoInput["curriculum"];
  /** Folder of the run (default: runs/<objective>-<date and time>). */
  outputDir?: GrpoInput["outputDir"];
  /** Replace an earlier run in that folder. Default: false. */
  overwriteOutputDir?: GrpoInput["overwriteOutputDir"];
  /**
   * Go on from the newest whole checkpoint in the run's folder, or from the checkpoint that is named. Default:
   * false. Also resumeFromCheckpoint in files and flags.
   */
  resume?: GrpoInput["resume"];
  /** Seed of every random number. Default: 0. */
  seed?: GrpoInput["seed"];
  /** Steps to train; wins over num_train_epochs where it is not -1. Default: -1. */
  maxSteps?: GrpoInput["maxSteps"];
  /** Passes over the data. Default: 3. */
  numTrainEpochs?: GrpoInput["numTrainEpochs"];
  /** Where the output is no terminal: print a line every N steps. Default: 10. */
  loggingSteps?: GrpoInput["loggingSteps"];
  /** Trackers, beside metrics.jsonl: tensorboard writes event files into the run's folder. Default: ["tensorboard"]. */
  reportTo?: GrpoInput["reportTo"];
  /** Make report.html in the run's folder when the command's run ends. Default: true. */
  report?: GrpoInput["report"];
  /** What trackers call the run (default: the name of its folder). */
  runName?: GrpoInput["runName"];
  /**
   * Serve a page that shows the run as it goes on, and takes commands (port, unless named: 8790 or the next that is
   * free; 0: any free one). Default: false.
   */
  dashboard?: GrpoInput["dashboard"];
  /**
   * Address that the dashboard is served at; others than 127.0.0.1 let other machines in, with a token. Default:
   * "127.0.0.1".
   */
  dashboardHost?: GrpoInput["dashboardHost"];
  /**
   * Record what time goes to, print the largest parts, and write a trace for Perfetto (file, unless named:
   * trace.json in the run's folder).
   */
  profile?: GrpoInput["profile"];
  /** Steps that a profile records, after the first one. Default: 3. */
  profileSteps?: GrpoInput["profileSteps"];
  /** Write a checkpoint every N steps; 0: only at the end or on Ctrl-C. Default: 100. */
  saveSteps?: GrpoInput["saveSteps"];
  /** Newest checkpoints to keep, beside the best one. Default: 2. */
  saveTotalLimit?: GrpoInput["saveTotalLimit"];
  /** Write the trained model (with LoRA: the adapter) into this folder too, when the run is done. */
  saveModelTo?: GrpoInput["saveModelTo"];
  /** LoRA: write the model with the adapter merged in into this folder, when the run is done. */
  saveMergedTo?: GrpoInput["saveMergedTo"];
  /** Type of saved weights; auto: as the model's config.json says. Default: "auto". */
  saveDtype?: GrpoInput["saveDtype"];
  /** Cut saved weights into files of at most this size. Default: "5GB". */
  maxShardSize?: GrpoInput["maxShardSize"];
  /** Evaluate every N steps, on eval_dataset or what val_split_ratio holds out; 0: never. Default: 0. */
  evalSteps?: GrpoInput["evalSteps"];
  /**
   * Answers that grow at once in an evaluation; the next ones join as others end. Default: 16. Also
   * perDeviceEvalBatchSize in files and flags.
   */
  evalBatchSize?: GrpoInput["evalBatchSize"];
  /** Evaluation: sampling temperature; 0: greedy. Default: 0. */
  evalTemperature?: GrpoInput["evalTemperature"];
  /** Evaluation: answers per question; more than one needs eval_temperature. Default: 1. */
  numGenerationsEval?: GrpoInput["numGenerationsEval"];
  /** The checkpoint after the evaluation where this is best is kept. Default: "eval_reward". */
  metricForBestModel?: GrpoInput["metricForBestModel"];
  /** Whether more of metric_for_best_model is better (default: unless its name ends with loss). */
  greaterIsBetter?: GrpoInput["greaterIsBetter"];
  /** End with the weights of the best checkpoint. Default: false. */
  loadBestModelAtEnd?: GrpoInput["loadBestModelAtEnd"];
  /** Stop after this many evaluations in a row without a better one; 0: never. Default: 0. */
  earlyStoppingPatience?: GrpoInput["earlyStoppingPatience"];
  /** How much better counts as better. Default: 0. */
  earlyStoppingThreshold?: GrpoInput["earlyStoppingThreshold"];
  /** Highest learning rate. Default: 0.000001. Also lr in files and flags. */
  learningRate?: GrpoInput["learningRate"];
  /** Leave the vision tower as it is, and the merger too. Default: false. Also freezeVision in files and flags. */
  freezeVisionModules?: GrpoInput["freezeVisionModules"];
  /** Leave the merger behind the vision tower as it is (default: as freeze_vision_modules). */
  freezeMerger?: GrpoInput["freezeMerger"];
  /** Leave these parameters as they are: ends of names, or regular expressions. */
  freezePatterns?: GrpoInput["freezePatterns"];
  /** Train no parameters but these: ends of names, or regular expressions. */
  trainablePatterns?: GrpoInput["trainablePatterns"];
  /** Train a LoRA adapter in place of the weights (default: whether adapter is given). Also lora in files and flags. */
  usePeft?: GrpoInput["usePeft"];
  /** LoRA: rank (default: 16). Also loraRank in files and flags. */
  loraR?: GrpoInput["loraR"];
  /** LoRA: scale times rank (default: 32). */
  loraAlpha?: GrpoInput["loraAlpha"];
  /** LoRA: share of inputs that the adapter does not see in training (default: 0). */
  loraDropout?: GrpoInput["loraDropout"];
  /**
   * LoRA: layers by the end of their name, or by a regular expression for all of it; all-linear: every one but
   * lm_head (default: all linear layers of the language model).
   */
  loraTargetModules?: GrpoInput["loraTargetModules"];
  /** LoRA: scale by alpha / √rank in place of alpha / rank. */
  useRslora?: GrpoInput["useRslora"];
  /** LoRA: adapt the linear layers of the vision tower too. */
  loraVision?: GrpoInput["loraVision"];
  /** LoRA: adapt the linear layers of the merger too. */
  loraMerger?: GrpoInput["loraMerger"];
  /** The same for the vision tower (default: learning_rate). Also vitLr in files and flags. */
  visionLearningRate?: GrpoInput["visionLearningRate"];
  /** The same for the merger behind it (default: learning_rate). Also alignerLr in files and flags. */
  mergerLearningRate?: GrpoInput["mergerLearningRate"];
  /** Adamw_8bit holds the moments in one byte each, in blocks with a scale. Default: "adamw". */
  optim?: GrpoInput["optim"];
  /**
   * Bf16 without f32 masters: updates are rounded up or down at random, true on average; less memory. Default:
   * false. Also bf16StochasticRound in files and flags.
   */
  stochasticRounding?: GrpoInput["stochasticRounding"];
  /** Course of the learning rate. Default: "linear". */
  lrSchedulerType?: GrpoInput["lrSchedulerType"];
  /** Its own settings: num_cycles, power, lr_end, min_lr, min_lr_rate, num_decay_steps …. */
  lrSchedulerKwargs?: GrpoInput["lrSchedulerKwargs"];
  /** Steps over which the learning rate rises from 0. Default: 0. */
  warmupSteps?: GrpoInput["warmupSteps"];
  /** The same as a share of all steps. Default: 0. */
  warmupRatio?: GrpoInput["warmupRatio"];
  /** AdamW: decay of the first moment. Default: 0.9. */
  adamBeta1?: GrpoInput["adamBeta1"];
  /** AdamW: decay of the second moment. Default: 0.999. */
  adamBeta2?: GrpoInput["adamBeta2"];
  /** AdamW: added to the denominator. Default: 1e-8. */
  adamEpsilon?: GrpoInput["adamEpsilon"];
  /** AdamW: decoupled weight decay; never of norms and biases. Default: 0. */
  weightDecay?: GrpoInput["weightDecay"];
  /** No weight decay of these parameters either: ends of names, or regular expressions. */
  weightDecayExclude?: GrpoInput["weightDecayExclude"];
  /** Clip the norm of the gradient; 0: do not. Default: 1. */
  maxGradNorm?: GrpoInput["maxGradNorm"];
  /** Compute activations again in the backward pass: less memory, more time, the same bits. Default: true. */
  gradientCheckpointing?: GrpoInput["gradientCheckpointing"];
  /** Questions per step of gradient accumulation (in TRL's terms: per-device batch size ÷ generations). Default: 8. */
  promptsPerStep?: GrpoInput["promptsPerStep"];
  /** Times prompts_per_step: the questions of one optimizer update. Default: 1. */
  gradientAccumulationSteps?: GrpoInput["gradientAccumulationSteps"];
  /**
   * Packed tokens of one forward and backward pass; bounds the memory; auto: 1024 or one group, whichever is more,
   * and less where that would not fit. Default: "auto".
   */
  maxTokensPerMicrobatch?: GrpoInput["maxTokensPerMicrobatch"];
  /** Completions per question. Default: 8. */
  numGenerations?: GrpoInput["numGenerations"];
  /** Most tokens of a completion. Default: 256. Also maxNewTokens in files and flags. */
  maxCompletionLength?: GrpoInput["maxCompletionLength"];
  /** Sampling temperature. Default: 1. */
  temperature?: GrpoInput["temperature"];
  /** Sample from the k likeliest tokens; 0: off. Default: 0. */
  topK?: GrpoInput["topK"];
  /** Sample from the smallest set of this probability; 1: off. Default: 1. */
  topP?: GrpoInput["topP"];
  /** Leave out tokens below this share of the likeliest; 0: off. Default: 0. */
  minP?: GrpoInput["minP"];
  /** Over 1: make tokens that were seen less likely; 1: off. Default: 1. */
  repetitionPenalty?: GrpoInput["repetitionPenalty"];
  /** Completions that grow at once; the next ones join as others end, which bounds the memory; 0: all. Default: 128. */
  maxNumSeqs?: GrpoInput["maxNumSeqs"];
  /**
   * Times prompts_per_step: the questions that are sampled at once; more than gradient_accumulation_steps, a
   * multiple of it: several updates, from ever older completions (default: gradient_accumulation_steps).
   */
  stepsPerGeneration?: GrpoInput["stepsPerGeneration"];
  /**
   * Drop groups whose rewards are all equal, which teach nothing, and sample other questions in their place.
   * Default: false.
   */
  dynamicSampling?: GrpoInput["dynamicSampling"];
  /** Dynamic_sampling: give up after this many rounds of sampling, and train on what there is. Default: 10. */
  maxNumGenBatches?: GrpoInput["maxNumGenBatches"];
  /**
   * Built-in rewards and files of your own, as ./mine.mjs or ./mine.mjs#name; settings follow a question mark, as
   * in cosine?max_len=256. Default: ["content","format"]. Also reward, rewardFuncs in files and flags.
   */
  rewards?: GrpoInput["rewards"];
  /** One weight per reward (default: all 1). */
  rewardWeights?: GrpoInput["rewardWeights"];
  /** Seconds that one call of a reward may take. Default: 30. */
  rewardTimeout?: GrpoInput["rewardTimeout"];
  /** Calls of one reward that may wait for an answer at once. Default: 64. */
  rewardConcurrency?: GrpoInput["rewardConcurrency"];
  /** How often a call that failed is repeated, with growing pauses. Default: 0. */
  rewardRetries?: GrpoInput["rewardRetries"];
  /** What a token's loss is, and how the losses are averaged. Default: "dapo". */
  lossType?: GrpoInput["lossType"];
  /** Ratio of new to old probability by token, or by completion (sequence: GSPO). Default: "token". */
  importanceSamplingLevel?: GrpoInput["importanceSamplingLevel"];
  /** Weight of the KL term; 0: no reference model (VLM-R1 uses 0.04). Default: 0. */
  beta?: GrpoInput["beta"];
  /** Multiply the KL term by the ratio, which makes its gradient unbiased. Default: true. */
  useBiasCorrectionKl?: GrpoInput["useBiasCorrectionKl"];
  /** Lower clipping range of the ratio. Default: 0.2. */
  epsilon?: GrpoInput["epsilon"];
  /** Upper clipping range (default: epsilon); cispo: the largest ratio itself (default: 5). */
  epsilonHigh?: GrpoInput["epsilonHigh"];
  /** Upper bound of the ratio, for two-sided clipping (default: none). */
  delta?: GrpoInput["delta"];
  /** Sapo: temperature of completions with a positive advantage. Default: 1. */
  sapoTemperaturePos?: GrpoInput["sapoTemperaturePos"];
  /** Sapo: temperature of the others. Default: 1.05. */
  sapoTemperatureNeg?: GrpoInput["sapoTemperatureNeg"];
  /** Vespo: k of completions with an advantage of at least 0. Default: 2. */
  vespoKPos?: GrpoInput["vespoKPos"];
  /** Vespo: λ of completions with an advantage of at least 0. Default: 3. */
  vespoLambdaPos?: GrpoInput["vespoLambdaPos"];
  /** Vespo: k of the others. Default: 3. */
  vespoKNeg?: GrpoInput["vespoKNeg"];
  /** Vespo: λ of the others. Default: 2. */
  vespoLambdaNeg?: GrpoInput["vespoLambdaNeg"];
  /** Times that an optimizer update is made of each rollout. Default: 1. */
  numIterations?: GrpoInput["numIterations"];
  /** What advantages are divided by. Default: "group". */
  scaleRewards?: GrpoInput["scaleRewards"];
  /** Several rewards: sum them and compare, or compare each by itself and sum (GDPO). Default: "sum_then_normalize". */
  multiObjectiveAggregation?: GrpoInput["multiObjectiveAggregation"];
  /** Leave completions that never ended out of the loss. Default: false. */
  maskTruncatedCompletions?: GrpoInput["maskTruncatedCompletions"];
  /** Leave out bad completions that the policy has moved away from by more than this (KL per token; e.g. 0.5). */
  offPolicyMaskThreshold?: GrpoInput["offPolicyMaskThreshold"];
  /** Learn from this share of the tokens alone, those of highest entropy (0.2 is usual); one pass more. Default: 1. */
  topEntropyQuantile?: GrpoInput["topEntropyQuantile"];
  /** Weight of the entropy bonus, which keeps the policy exploring. Default: 0. */
  entropyCoef?: GrpoInput["entropyCoef"];
  /** Raise entropy_coef while the entropy is at most entropy_target, and lower it above. Default: false. */
  useAdaptiveEntropy?: GrpoInput["useAdaptiveEntropy"];
  /** Adaptive entropy: least entropy_coef. Default: 0. */
  entropyCoefMin?: GrpoInput["entropyCoefMin"];
  /** Adaptive entropy: greatest entropy_coef. Default: 1. */
  entropyCoefMax?: GrpoInput["entropyCoefMax"];
  /** Adaptive entropy: change of entropy_coef per update. Default: 0.005. */
  entropyCoefDelta?: GrpoInput["entropyCoefDelta"];
  /** Adaptive entropy: entropy per token to hold, in nats. Default: 0.2. */
  entropyTarget?: GrpoInput["entropyTarget"];
  /** Type of a reference that is a copy of the model; auto: as precision (bf16: half the memory). Default: "auto". */
  refPrecision?: GrpoInput["refPrecision"];
  /**
   * Let the reference follow the policy: every ref_model_sync_steps, reference = α·policy + (1 − α)·reference.
   * Default: false.
   */
  syncRefModel?: GrpoInput["syncRefModel"];
  /** Α of sync_ref_model. Default: 0.6. */
  refModelMixupAlpha?: GrpoInput["refModelMixupAlpha"];
  /** Steps between two syncs of sync_ref_model. Default: 512. */
  refModelSyncSteps?: GrpoInput["refModelSyncSteps"];
  /** Write completions.jsonl. Default: true. */
  logCompletions?: GrpoInput["logCompletions"];
}
