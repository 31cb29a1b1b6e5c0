import { z } from "zod";
import type { Row } from "../data/datasets/index.js";
import { VlmR1Error } from "../errors/index.js";
import { expectedAnswer, studentAnswer } from "./answer.js";
import { boxSettings, readsBoxes } from "./boxes.js";
import { choice, choiceScore, namesChoice, rowChoices } from "./choice.js";
import { detection } from "./detection.js";
import { iou } from "./iou.js";
import { mathEqual } from "./math/equal.js";
import { named } from "./named.js";
import { hasDigit } from "./numbers.js";
import { readSettings } from "./settings.js";
import { cleanText, ratio, textRatio } from "./similarity.js";
import type { RewardContext, RewardFunction } from "./types.js";
import { yesNo } from "./yes-no.js";

/** VLM-R1's names, and those of the rewards here; from `iou` on they compare boxes. */
const METHODS = [
  "default",
  "math",
  "numeric",
  "mcq",
  "choice",
  "yes_no",
  "ratio",
  "all_match",
  "iou",
  "map",
  "od_ap",
  "od_ap50",
  "odLength",
  "weighted_sum",
] as const;
type Method = (typeof METHODS)[number];

export const AccuracySettings = z.object({
  ...boxSettings,
  method: z.enum(METHODS).default("default").describe("how rows are judged that have no accu_reward_method"),
  fuzzy: z.boolean().default(true).describe("default method: texts that differ earn their likeness; off: 0"),
});
export type AccuracyOptions = z.input<typeof AccuracySettings>;

/**
 * Whether the answer is right, from 0 to 1, as VLM-R1 judges it. The solution is its first `<answer>`, the student's
 * the completion's last. `default`: 1 where both are the same number or expression (`mathEqual`); else, with a digit in
 * the solution, 0 for another number; else, where the solution names an option, whether the answer picks it; else the
 * likeness of the texts. A row's field `accu_reward_method` picks the method for that row.
 */
export function accuracy(options: AccuracyOptions = {}): RewardFunction {
  const settings = readSettings("accuracy", AccuracySettings, options);
  const judges = judgesOf(settings);
  const reward = named("accuracy", (completion, row, context) => {
    const method = rowMethod(row) ?? settings.method;
    return judges[method](completion, row, context);
  });
  return isBoxMethod(settings.method) ? readsBoxes(reward) : reward;
}

/** Whether a method compares places in pictures. */
export function isBoxMethod(method: Method | undefined): boolean {
  return method !== undefined && METHODS.indexOf(method) >= METHODS.indexOf("iou");
}

/** The method that a row names; throws `ERR_DATA` for one that is not known. */
export function rowMethod(row: Row): Method | undefined {
  const name = row.raw?.accu_reward_method;
  if (name === undefined || name === null) return undefined;
  const method = METHODS.find((known) => known === name);
  if (method !== undefined) return method;
  throw new VlmR1Error(
    "ERR_DATA",
    `accu_reward_method: expected one of ${METHODS.join(", ")}, got ${JSON.stringify(name)}`,
    {
      hint:
        name === "llm"
          ? 'A model as judge is a reward of its own: --reward "judge?model=…", and "rewards": ["judge"] in the row.'
          : undefined,
    },
  );
}

function judgesOf({ fuzzy, method: _, ...spaces }: z.output<typeof AccuracySettings>): Record<Method, RewardFunction> {
  const map = detection(spaces);
  return {
    default: (completion, row, context) => defaultAccuracy(completion, row, context, fuzzy),
    math: (completion, row) => Number(mathEqual(studentAnswer(completion), expectedAnswer(row.solution)) ?? false),
    numeric: (completion, row) => numericAccuracy(completion, row.solution),
    mcq: choice(),
    choice: choice(),
    yes_no: yesNo(),
    ratio: ratio(),
    all_match: (completion, row) =>
      Number(cleanText(studentAnswer(completion)) === cleanText(expectedAnswer(row.solution))),
    iou: iou(spaces),
    map,
    od_ap: map,
    od_ap50: detection({ ...spaces, metric: "map50" }),
    odLength: detection({ ...spaces, lengthPenalty: true }),
    weighted_sum: detection({ ...spaces, metric: "weighted_sum" }),
  };
}

function defaultAccuracy(completion: string, row: Row, { question }: RewardContext, fuzzy: boolean): number | null {
  const answer = studentAnswer(completion);
  const wanted = expectedAnswer(row.solution);
  if (wanted === "") return null;
  const same = mathEqual(answer, wanted);
  if (same === true) return 1;
  const likeness = () => (fuzzy ? textRatio(answer, wanted) : Number(cleanText(answer) === cleanText(wanted)));
  if (namesChoice(wanted)) return choiceScore(answer, wanted, rowChoices(row, question));
  // Two numbers that differ are not somewhat alike.
  if (hasDigit(wanted)) return same === false ? 0 : likeness();
  return likeness();
}

/** VLM-R1's `numeric`: 1 or 0 for two numbers, null where the solution is none. */
function numericAccuracy(completion: string, solution: string): number | null {
  const wanted = plainNumber(expectedAnswer(solution));
  if (wanted === undefined) return null;
  return Number(plainNumber(studentAnswer(completion)) === wanted);
}

/** Of a text that is a number and nothing else, thousands separators allowed. */
function plainNumber(text: string): number | undefined {
  const plain = cleanText(text)
    .normalize("NFKC")
    .replace(/,(?=\d{3}(?!\d))/g, "");
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?$/.test(plain.replace("−", "-"))) return undefined;
  return Number(plain.replace("−", "-"));
}
