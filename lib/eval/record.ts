import { z } from "zod";

const Reward = z.number().nullable();

/** One answer as files hold it: a line of `eval --answers`, an item of a run's `before.json` and `after.json`. */
export const RecordedAnswerSchema = z.object({
  /** The row's. */
  id: z.string(),
  /** Which of the row's answers, from 0. */
  sample: z.int().min(0),
  /** Absolute paths of its pictures. */
  images: z.array(z.string()),
  /** The last question's text. */
  question: z.string(),
  solution: z.string(),
  completion: z.string(),
  /** By the reward's name; null: not applicable. */
  rewards: z.record(z.string(), Reward),
  /** Weighted sum; null where no reward applies. */
  reward: Reward,
  name_right: z.boolean(),
  number_right: z.boolean(),
  format_right: z.boolean(),
  tokens: z.int().min(0),
  finish_reason: z.enum(["stop", "length"]),
});
export type RecordedAnswer = z.output<typeof RecordedAnswerSchema>;

/** What an evaluation leaves behind for a later comparison, as JSON. */
export const EvaluationRecordSchema = z.object({
  version: z.literal(2),
  /** `eval_reward`, `eval_rewards/<name>/mean` …; null: not a number. */
  metrics: z.record(z.string(), z.number().nullable()),
  answers: z.array(RecordedAnswerSchema),
});
export type EvaluationRecord = z.output<typeof EvaluationRecordSchema>;
