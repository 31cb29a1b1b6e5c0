// Programs as users write them. They are compiled against the declarations that the package ships, and never run.
import {
  type CheckpointReport,
  type CompletionRecord,
  computeAdvantages,
  computeLoss,
  type DownloadProgress,
  type ErrorCode,
  type Evaluation,
  type EvaluationReport,
  type GrpoTrainerOptions,
  type LossResult,
  loadConversations,
  type Metrics,
  type PauseReport,
  type ProfileReport,
  type Progress,
  type Reporter,
  type RewardContext,
  type RewardFunction,
  type RewardImage,
  type RewardValue,
  type RolloutGroup,
  type RolloutReport,
  type Row,
  type RunControl,
  type RunEnd,
  type RunStart,
  rewards,
  type SftTrainerOptions,
  type StepReport,
  Trainer,
  type TrainerCallbacks,
  type TrainerEventName,
  type TrainerEvents,
  type TrainerListener,
  type TrainerOptions,
  type TrainerState,
  VlmR1Error,
} from "vlmr1-native";

/** The shortest one. */
export async function train(): Promise<void> {
  await using trainer = new Trainer({ model: "org/name", dataset: "train.json" });
  for await (const step of trainer.run()) console.log(step.metrics.reward?.toFixed(2));
  await trainer.save("out", { dtype: "bf16" });
}

/** Rewards of each kind, and what a reward gets. */
const short: RewardFunction = (completion: string, row: Row, context: RewardContext): RewardValue => {
  const [first]: readonly RewardImage[] = context.images;
  if (row.raw.kind !== "short" || first === undefined) return null;
  return completion.length < 200 && first.width <= 1000 && !context.truncated ? 1 : 0;
};
const asking: RewardFunction = async (completion, { solution }, { question, signal }) => {
  const response = await fetch("https://example.org", { method: "POST", body: completion + question, signal });
  return ((await response.json()) as { score: number }).score + solution.length;
};
const inline = new Trainer({
  model: "m",
  dataset: "d.json",
  rewards: [
    "accuracy",
    "cosine?max_len=256",
    rewards.content(),
    short,
    asking,
    (text) => text.length / 100,
    () => null,
  ],
});

/** Rows made in code. */
const rows: Row[] = [
  { id: "1", messages: [{ role: "user", content: "What is 1 + 1?" }], images: [], solution: "2", raw: { kind: "sum" } },
];
const sft: SftTrainerOptions = { objective: "sft", model: "m", dataset: rows, learningRate: 1e-5 };

/** A program's own settings, some of them not given. */
export function withSettings(settings: { threads?: number; seed?: number; evalDataset?: string }): Trainer {
  const base: GrpoTrainerOptions = { model: "m", dataset: rows, lossType: "grpo", epsilonHigh: 0.28, ...settings };
  const all: TrainerOptions[] = [base, sft];
  const { seed } = settings;
  // Where a value may be undefined, as of an argument that was not given, it stands for the default.
  return new Trainer({ ...base, outputDir: process.argv[2], seed, objective: all.length > 2 ? undefined : "grpo" });
}

const callbacks: TrainerCallbacks = {
  onDownload: (progress: DownloadProgress) => void progress,
  onStart: ({ totalSteps, rows: count }: RunStart) => console.log(totalSteps + count),
  onProgress: ({ phase, fraction }: Progress) => console.log(phase, 100 * fraction),
  onRollout: async ({ groups }: RolloutReport, run: RunControl) => {
    const best = groups.map(({ completions }: RolloutGroup) =>
      Math.max(...completions.map(({ advantage }) => advantage)),
    );
    if (best.every((value) => value === 0)) await run.saveCheckpoint();
    if (!run.paused) run.setLearningRate(run.learningRate / 2);
  },
  onStep: ({ step, metrics, completions }: StepReport, run) => {
    const texts: string[] = completions.map(({ completion }: CompletionRecord) => completion);
    if ((metrics.kl ?? 0) > 1) run.stop(`step ${step}: ${texts[0] ?? ""}`);
  },
  onEval: ({ metrics, best }: EvaluationReport) => console.log(metrics.eval_reward, best),
  onCheckpoint: ({ path, best }: CheckpointReport) => console.log(path, best),
  onPause: ({ step }: PauseReport, run) => void (step > 3 && run.continue()),
  onProfile: (profile: ProfileReport) => void profile,
  onWarning: (message: string) => console.warn(message),
  onEnd: ({ status, reason = "done" }: RunEnd) => console.log(status, reason),
  onClose: () => {},
};

class Log implements Reporter {
  private readonly metrics: Metrics[] = [];
  onStep({ metrics }: StepReport): void {
    this.metrics.push(metrics);
  }
  async onEvaluation(step: number, metrics: Metrics): Promise<void> {
    console.log(step, metrics, this.metrics.length);
  }
}

/** Steered from inside and outside, evaluated, interrupted, and gone on with. */
export async function follow(): Promise<Readonly<TrainerState> | undefined> {
  const { rows: evalDataset, problems } = await loadConversations("test.json");
  console.log(problems.map(({ message }) => message));
  const options = { model: "m", dataset: "d.json", evalDataset, evalSteps: 10, callbacks, reporters: [new Log()] };
  const trainer = new Trainer({ ...options, resume: "runs/x/checkpoints/step-000010" });
  const controller = new AbortController();
  const listener: TrainerListener<"step"> = ({ step }) => step > 3 && controller.abort();
  trainer
    .on("step", listener)
    .once("end", ({ checkpoint }) => console.log(checkpoint))
    .off("step", listener);
  const names: TrainerEventName[] = ["start", "rollout", "step", "eval", "checkpoint", "pause", "continue", "end"];
  for (const name of names) trainer.on(name, (event: TrainerEvents[typeof name]) => console.log(name, event));
  try {
    for await (const { step } of trainer.run({ signal: controller.signal })) if (step > 5) trainer.stop("enough");
    const { scores, answers }: Evaluation = await trainer.evaluate();
    console.log(scores.reward, answers[0]?.completion, await trainer.saveCheckpoint(), inline.config.learningRate);
  } catch (error) {
    if (!(error instanceof VlmR1Error)) throw error;
    const code: ErrorCode = error.code;
    console.error(code, error.message, error.hint);
  } finally {
    await trainer.dispose();
  }
  return trainer.state();
}

/** A loss by itself. */
export function loss(): LossResult {
  const { advantages } = computeAdvantages(
    [
      [1, null],
      [0, 0.5],
    ],
    { numGenerations: 2, scaleRewards: "batch" },
  );
  const mask = Math.random() > 2 ? [[1, 0], [1]] : undefined;
  return computeLoss({ logProbs: [[-1, -2], [-3]], advantages, mask, lossType: "dapo", delta: undefined });
}
