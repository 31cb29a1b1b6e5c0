import type { RecordedAnswer } from "../../lib/eval/index.js";

/** An answer as files hold it; right, unless told otherwise. */
export function recorded(more: Partial<RecordedAnswer> = {}): RecordedAnswer {
  return {
    id: "row",
    sample: 0,
    images: [],
    question: "What is it, and how many kcal per 100 g?",
    solution: "<answer>apple 52</answer>",
    completion: "<think>red</think><answer>apple 52</answer>",
    rewards: {},
    reward: 1,
    name_right: true,
    number_right: true,
    format_right: true,
    tokens: 3,
    finish_reason: "stop",
    ...more,
  };
}
