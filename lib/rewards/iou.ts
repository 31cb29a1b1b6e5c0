import { z } from "zod";
import { expectedAnswer, studentAnswer } from "./answer.js";
import { boxIou, boxSettings, comparableBoxes, firstBox, readsBoxes } from "./boxes.js";
import { named } from "./named.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

export const IouSettings = z.object({
  ...boxSettings,
  threshold: z.number().min(0).max(1).optional().describe("1 where the IoU is at least this, else 0"),
});
export type IouOptions = z.input<typeof IouSettings>;

/**
 * For "where is …": the intersection over union of the answer's first box with the solution's, from 0 to 1; with a
 * `threshold` 1 or 0. 0 where the answer holds no box, null where the solution holds none.
 */
export function iou(options: IouOptions = {}): RewardFunction {
  const settings = readSettings("iou", IouSettings, options);
  const { threshold } = settings;
  const reward = named("iou", (completion, row, { images }) => {
    const wanted = firstBox(expectedAnswer(row.solution));
    if (wanted === undefined) return null;
    const { answer, truth } = comparableBoxes(settings, images);
    const given = firstBox(studentAnswer(completion));
    const overlap = given === undefined ? 0 : boxIou(answer(given), truth(wanted));
    return threshold === undefined ? overlap : Number(given !== undefined && overlap >= threshold);
  });
  return readsBoxes(reward);
}
