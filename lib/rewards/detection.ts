import { z } from "zod";
import { expectedAnswer, studentAnswer } from "./answer.js";
import { asBox, type Box, boxSettings, comparableBoxes, readsBoxes } from "./boxes.js";
import { COCO_THRESHOLDS, type Detection, f1Score, meanAveragePrecision, weightedSum } from "./detection-score.js";
import { parseJsonAnswer } from "./json-text.js";
import { named } from "./named.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

export const DetectionSettings = z.object({
  ...boxSettings,
  metric: z
    .enum(["map", "map50", "f1", "weighted_sum"])
    .default("map")
    .describe("COCO's mAP over IoU 0.5 … 0.95, mAP at 0.5, F1 at the threshold, VLM-R1's weighted sum"),
  threshold: z.number().gt(0).max(1).default(0.5).describe("IoU from which boxes match, for f1 and weighted_sum"),
  lengthPenalty: z.boolean().default(false).describe("multiply by min(1, boxes wanted / boxes given)"),
});
export type DetectionOptions = z.input<typeof DetectionSettings>;

/** More boxes than any picture needs: the rest of a runaway answer is not looked at, and costs as false alarms. */
const MAX_BOXES = 300;

interface Boxes {
  detections: Detection[];
  /** Of the list, with what is no detection. */
  count: number;
}

/**
 * For lists `[{"bbox_2d": [x1, y1, x2, y2], "label": "…"}]`, alone or in a ```json block: how well they agree with the
 * solution's, from 0 to 1. An answer that is no JSON list earns 0; "None" or `[]` is the empty list, right where
 * nothing is to be found. Null where the solution cannot be read.
 */
export function detection(options: DetectionOptions = {}): RewardFunction {
  const settings = readSettings("detection", DetectionSettings, options);
  const reward = named("detection", (completion, row, { images }) => {
    const wanted = readBoxes(expectedAnswer(row.solution));
    if (wanted === undefined || wanted.detections.length < wanted.count) return null;
    const given = readBoxes(studentAnswer(completion));
    if (given === undefined) return 0;
    if (wanted.count === 0 || given.count === 0) return Number(wanted.count === given.count);
    if (given.detections.length === 0) return 0;
    const { answer, truth } = comparableBoxes(settings, images);
    const guesses = moved(given.detections.slice(0, MAX_BOXES), answer);
    const truths = moved(wanted.detections, truth);
    const penalty = settings.lengthPenalty ? Math.min(1, wanted.count / given.count) : 1;
    return penalty * score(guesses, truths, given.count, settings);
  });
  return readsBoxes(reward);
}

type Settings = z.output<typeof DetectionSettings>;

function score(given: Detection[], wanted: Detection[], count: number, { metric, threshold }: Settings): number {
  switch (metric) {
    case "map":
      return meanAveragePrecision(given, wanted, COCO_THRESHOLDS);
    case "map50":
      return meanAveragePrecision(given, wanted, [0.5]);
    case "f1":
      // What is in the list but is no box is a false alarm too.
      return (f1Score(given, wanted, threshold) * (given.length + wanted.length)) / (count + wanted.length);
    case "weighted_sum":
      return weightedSum(given, wanted, threshold);
  }
}

function moved(detections: readonly Detection[], move: (box: Box) => Box): Detection[] {
  return detections.map((detection) => ({ ...detection, box: move(detection.box) }));
}

function readBoxes(text: string): Boxes | undefined {
  if (/^(none|null|无|没有)[.。]?$/i.test(text)) return { detections: [], count: 0 };
  const value = parseJsonAnswer(text)?.value;
  const list = Array.isArray(value) ? value : isObject(value) ? [value] : undefined;
  return list === undefined ? undefined : { detections: list.flatMap(asDetection), count: list.length };
}

function asDetection(value: unknown): Detection[] {
  if (!isObject(value)) return [];
  const box = asBox(value.bbox_2d ?? value.bbox ?? value.box);
  if (box === undefined) return [];
  const score = typeof value.score === "number" && Number.isFinite(value.score) ? value.score : 1;
  return [
    {
      box,
      label: String(value.label ?? "")
        .trim()
        .toLowerCase(),
      score,
    },
  ];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
