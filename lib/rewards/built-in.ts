import { resolve } from "node:path";
import { z } from "zod";
import { nearestName } from "../config/names.js";
import { VlmR1Error } from "../errors/index.js";
import { AccuracySettings, accuracy } from "./accuracy.js";
import { choice } from "./choice.js";
import { ContentSettings, content, contentGraded } from "./content.js";
import { CosineSettings, cosine } from "./cosine.js";
import { DetectionSettings, detection } from "./detection.js";
import { FormatSettings, format } from "./format.js";
import { IouSettings, iou } from "./iou.js";
import { JsonSettings, json } from "./json.js";
import { JudgeSettings, judge } from "./judge/judge.js";
import { NumericSettings, numeric } from "./numeric.js";
import { RepetitionSettings, repetition } from "./repetition.js";
import { parseRewardSpec, readSettings, typedSettings } from "./settings.js";
import { ratio } from "./similarity.js";
import { SoftOverlongSettings, softOverlong } from "./soft-overlong.js";
import type { RewardFunction } from "./types.js";
import { yesNo } from "./yes-no.js";

type Settings = Record<string, unknown>;

interface BuiltIn {
  schema: z.ZodObject;
  /** Gets settings that were checked; texts that name files or rewards are resolved before. */
  make: (settings: Settings) => RewardFunction;
  /** Settings that are paths, relative to the configuration's folder. */
  files?: readonly string[];
}

const NONE = z.object({});

function entry<S extends z.ZodObject>(
  schema: S,
  make: (settings: z.input<S>) => RewardFunction,
  files: readonly string[] = [],
): BuiltIn {
  return { schema, make: make as BuiltIn["make"], files };
}

const BUILT_IN: Readonly<Record<string, BuiltIn>> = {
  content: entry(ContentSettings, content),
  content_graded: entry(NONE, contentGraded),
  format: entry(FormatSettings, format),
  accuracy: entry(AccuracySettings, accuracy),
  numeric: entry(NumericSettings, numeric),
  ratio: entry(NONE, ratio),
  choice: entry(NONE, choice),
  yes_no: entry(NONE, yesNo),
  iou: entry(IouSettings, iou),
  detection: entry(DetectionSettings, detection),
  cosine: entry(CosineSettings, cosine),
  soft_overlong: entry(SoftOverlongSettings, softOverlong),
  repetition: entry(RepetitionSettings, repetition),
  json: entry(JsonSettings, json, ["schema"]),
  judge: entry(JudgeSettings, judge, ["promptFile"]),
};

/** Names that `--reward` knows. */
export const builtInRewards: readonly string[] = Object.keys(BUILT_IN);

/** The schema of a built-in reward's settings, for documentation and checks. */
export function rewardSettings(name: string): z.ZodObject | undefined {
  return Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name]?.schema : undefined;
}

/** A built-in reward by its spec; undefined where the name is none. Throws `ERR_REWARD` for settings that do not fit. */
export function makeBuiltIn(spec: string, directory: string): RewardFunction | undefined {
  const { name, settings } = parseRewardSpec(spec);
  const builtIn = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
  if (builtIn === undefined) return undefined;
  const typed = canonical(builtIn.schema, typedSettings(builtIn.schema, settings));
  for (const file of builtIn.files ?? []) {
    if (typeof typed[file] === "string") typed[file] = resolve(directory, typed[file]);
  }
  if (name === "cosine" && typeof typed.reward === "string") typed.reward = innerReward(typed.reward, directory);
  readSettings(name, builtIn.schema, typed);
  return builtIn.make(typed);
}

/** Keys as the schema writes them; unknown ones stay, to be reported. */
function canonical(schema: z.ZodObject, settings: Settings): Settings {
  const keys = new Map(Object.keys(schema.shape).map((key) => [key.toLowerCase(), key]));
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [keys.get(name.replace(/[-_]/g, "").toLowerCase()) ?? name, value]),
  );
}

function innerReward(spec: string, directory: string): RewardFunction {
  const inner = makeBuiltIn(spec, directory);
  if (inner !== undefined) return inner;
  throw unknownReward(spec);
}

export function unknownReward(spec: string): VlmR1Error {
  const { name } = parseRewardSpec(spec);
  const near = nearestName(name, builtInRewards);
  return new VlmR1Error("ERR_REWARD", `there is no reward "${name}"`, {
    hint:
      `${near === undefined ? "" : `Did you mean "${near}"? `}Built in are ${builtInRewards.join(", ")}; ` +
      "a reward of your own is named by its file, as ./mine.mjs.",
  });
}
