import { nearestName, toSnake } from "../config/names.js";
import { VlmR1Error } from "../errors/index.js";

export type ScheduleKind =
  | "constant"
  | "constant_with_warmup"
  | "linear"
  | "cosine"
  | "cosine_with_restarts"
  | "cosine_with_min_lr"
  | "polynomial"
  | "inverse_sqrt"
  | "warmup_stable_decay";

export interface ScheduleOptions {
  kind: ScheduleKind;
  /** The highest learning rate, reached when the warm-up is over. */
  learningRate: number;
  /**
   * What `min_lr` and `lr_end` are shares of (default: `learningRate`). Parts of a model that have a learning rate of
   * their own follow the course of the others: as in transformers, which knows one factor for all groups.
   */
  baseLearningRate?: number | undefined;
  totalSteps: number;
  /** Wins over `warmupRatio` where it is not 0. */
  warmupSteps?: number | undefined;
  /** Share of all steps, rounded up. */
  warmupRatio?: number | undefined;
  /** Settings of the kind, by transformers' names: `lr_scheduler_kwargs`. */
  kwargs?: Readonly<Record<string, number | string>> | undefined;
}

interface Setting {
  expected: string;
  fits(value: number | string): boolean;
  required?: boolean;
}

/** A step of a run, all in steps. */
interface Place {
  step: number;
  warmup: number;
  total: number;
  /** The learning rate that absolute settings are shares of. */
  base: number;
}

interface Scheduler {
  settings: Readonly<Record<string, Setting>>;
  /** What the learning rate is multiplied with at a step of the warm-up; default: a line from 0. */
  warmup?(progress: number, given: Given): number;
  /** The same for a step after the warm-up. */
  factor(place: Place, given: Given): number;
}

const isNumber = (value: number | string): value is number => typeof value === "number" && Number.isFinite(value);
const POSITIVE: Setting = { expected: "a number above 0", fits: (value) => isNumber(value) && value > 0 };
const RATE: Setting = { expected: "a learning rate of at least 0", fits: (value) => isNumber(value) && value >= 0 };
const SHARE: Setting = { expected: "a number from 0 to 1", fits: (v) => isNumber(v) && v >= 0 && v <= 1 };
const COUNT: Setting = {
  expected: "a whole number of steps, at least 0",
  fits: (value) => Number.isInteger(value) && (value as number) >= 0,
};
const SCALE: Setting = {
  expected: "a whole number of steps, at least 1",
  fits: (value) => Number.isInteger(value) && (value as number) >= 1,
};
const CURVES = ["linear", "cosine", "1-sqrt"];
const CURVE: Setting = { expected: CURVES.join(", "), fits: (value) => CURVES.includes(String(value)) };

/** Settings as they were given, under transformers' names. */
class Given {
  constructor(private readonly values: ReadonlyMap<string, number | string>) {}

  has(name: string): boolean {
    return this.values.has(name);
  }

  number<T>(name: string, otherwise: T): number | T {
    return (this.values.get(name) as number | undefined) ?? otherwise;
  }

  text(name: string, otherwise: string): string {
    return String(this.values.get(name) ?? otherwise);
  }
}

/** Share of the steps after the warm-up. */
const progressOf = ({ step, warmup, total }: Place) => (step - warmup) / Math.max(1, total - warmup);
const wave = (cycles: number, progress: number) => 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
const above = (floor: number, factor: number) => Math.max(0, factor * (1 - floor) + floor);

const constant: Scheduler = { settings: {}, factor: () => 1 };

/** Formulas, names and defaults of transformers 5, `optimization.py`. */
const SCHEDULERS: Readonly<Record<ScheduleKind, Scheduler>> = {
  constant,
  constant_with_warmup: constant,
  linear: {
    settings: {},
    factor: ({ step, warmup, total }) => Math.max(0, (total - step) / Math.max(1, total - warmup)),
  },
  cosine: {
    settings: { num_cycles: POSITIVE },
    factor: (place, given) => Math.max(0, wave(given.number("num_cycles", 0.5), progressOf(place))),
  },
  cosine_with_restarts: {
    settings: { num_cycles: POSITIVE },
    factor(place, given) {
      const progress = progressOf(place);
      if (progress >= 1) return 0;
      return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((given.number("num_cycles", 1) * progress) % 1))));
    },
  },
  cosine_with_min_lr: {
    settings: { num_cycles: POSITIVE, min_lr: RATE, min_lr_rate: SHARE },
    factor(place, given) {
      const floor = given.number("min_lr_rate", given.number("min_lr", 0) / place.base);
      return above(floor, wave(given.number("num_cycles", 0.5), progressOf(place)));
    },
  },
  polynomial: { settings: { lr_end: RATE, power: POSITIVE }, factor: polynomial },
  inverse_sqrt: {
    settings: { timescale: SCALE },
    factor({ step, warmup }, given) {
      const timescale = given.number("timescale", warmup || 10_000);
      return 1 / Math.sqrt((step + timescale - warmup) / timescale);
    },
  },
  warmup_stable_decay: {
    settings: {
      num_decay_steps: { ...COUNT, required: true },
      num_stable_steps: COUNT,
      min_lr_ratio: SHARE,
      num_cycles: POSITIVE,
      warmup_type: CURVE,
      decay_type: CURVE,
    },
    warmup: (progress, given) =>
      above(given.number("min_lr_ratio", 0), rise(given.text("warmup_type", "linear"), progress)),
    factor: stableDecay,
  },
};

/** Where `lr_end` is not given. */
const POLYNOMIAL_END = 1e-7;

function polynomial({ step, warmup, total, base }: Place, given: Given): number {
  const end = given.number("lr_end", POLYNOMIAL_END);
  if (step > total) return end / base;
  const left = 1 - (step - warmup) / Math.max(1, total - warmup);
  return ((base - end) * left ** given.number("power", 1) + end) / base;
}

function rise(curve: string, progress: number): number {
  if (curve === "linear") return progress;
  return curve === "cosine" ? 0.5 * (1 - Math.cos(Math.PI * progress)) : 1 - Math.sqrt(1 - progress);
}

function stableDecay({ step, warmup, total }: Place, given: Given): number {
  const decay = given.number("num_decay_steps", 0);
  const stable = given.number("num_stable_steps", total - warmup - decay);
  const floor = given.number("min_lr_ratio", 0);
  const decaying = step - warmup - stable;
  if (decaying < 0) return 1;
  if (decaying >= decay) return floor;
  const progress = decaying / Math.max(1, decay);
  const curve = given.text("decay_type", "cosine");
  if (curve === "linear") return above(floor, 1 - progress);
  if (curve === "cosine") return above(floor, wave(given.number("num_cycles", 0.5), progress));
  return above(floor, 1 - Math.sqrt(progress));
}

/**
 * The learning rate of a step (from 0), as transformers' schedulers of the same names give it. There `constant` has no
 * warm-up; here it has one where one is asked for, and is then the same as `constant_with_warmup`.
 *
 * @throws VlmR1Error `ERR_CONFIG` as {@link checkSchedule} does
 */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  const { kind, learningRate, totalSteps: total, warmupSteps = 0, warmupRatio = 0 } = options;
  const given = readSettings(options);
  const scheduler = SCHEDULERS[kind];
  const warmup = warmupSteps > 0 ? warmupSteps : Math.ceil(total * warmupRatio);
  if (step < warmup) {
    const progress = step / Math.max(1, warmup);
    return learningRate * (scheduler.warmup?.(progress, given) ?? progress);
  }
  const base = options.baseLearningRate ?? learningRate;
  return learningRate * scheduler.factor({ step, warmup, total, base }, given);
}

/**
 * Throws `ERR_CONFIG` for a kind that does not exist, for settings that it does not have or that are no values of
 * theirs. The number of steps need not be known.
 */
export function checkSchedule(options: Omit<ScheduleOptions, "totalSteps">): void {
  readSettings(options);
}

function readSettings(options: Omit<ScheduleOptions, "totalSteps">): Given {
  const { kind, kwargs = {} } = options;
  if (!Object.hasOwn(SCHEDULERS, kind)) {
    const kinds = Object.keys(SCHEDULERS);
    throw configError("lr_scheduler_type", `expected one of ${kinds.join(", ")}, got ${String(kind)}`, kind, kinds);
  }
  const { settings } = SCHEDULERS[kind];
  const values = new Map<string, number | string>();
  for (const [spelling, value] of Object.entries(kwargs)) {
    const name = toSnake(spelling);
    if (!Object.hasOwn(settings, name)) throw unknownSetting(kind, spelling, Object.keys(settings));
    const setting = settings[name] as Setting;
    if (values.has(name)) throw configError(fieldOf(name), "expected once, got two spellings of it");
    if (!setting.fits(value)) {
      throw configError(fieldOf(name), `expected ${setting.expected}, got ${JSON.stringify(value)}`);
    }
    values.set(name, value);
  }
  for (const [name, { required, expected }] of Object.entries(settings)) {
    if (required && !values.has(name)) {
      throw configError(fieldOf(name), `lr_scheduler_type ${kind} needs it: expected ${expected}, got nothing`);
    }
  }
  const given = new Given(values);
  checkRates(options, given);
  return given;
}

/** What of the settings depends on each other, and on the learning rate. */
function checkRates({ kind, learningRate, baseLearningRate: base = learningRate }: CheckedRates, given: Given): void {
  if (kind === "cosine_with_min_lr") {
    if (given.has("min_lr") === given.has("min_lr_rate")) {
      const got = given.has("min_lr") ? "both" : "neither";
      throw configError("lr_scheduler_kwargs", `${kind} expected one of min_lr and min_lr_rate, got ${got}`);
    }
    const least = given.number("min_lr", 0);
    // A rate of 0 has no share that would be min_lr.
    if (given.has("min_lr") && (least > base || base === 0)) {
      throw configError(fieldOf("min_lr"), `expected at most learning_rate, which is ${base}, got ${least}`);
    }
  }
  const end = given.number("lr_end", POLYNOMIAL_END);
  if (kind === "polynomial" && !(base > end)) {
    const got = given.has("lr_end") ? String(end) : `its default of ${end}`;
    throw configError(fieldOf("lr_end"), `expected less than learning_rate, which is ${base}, got ${got}`);
  }
}

type CheckedRates = Pick<ScheduleOptions, "kind" | "learningRate" | "baseLearningRate">;

function unknownSetting(kind: ScheduleKind, name: string, allowed: readonly string[]): VlmR1Error {
  const expected = allowed.length === 0 ? "no settings" : `one of ${allowed.join(", ")}`;
  return configError(fieldOf(name), `lr_scheduler_type ${kind} takes ${expected}`, name, allowed);
}

function fieldOf(name: string): string {
  return `lr_scheduler_kwargs.${name}`;
}

function configError(field: string, problem: string, name?: string, candidates: readonly string[] = []): VlmR1Error {
  const near = name === undefined ? undefined : nearestName(String(name), candidates);
  return new VlmR1Error("ERR_CONFIG", `${field}: ${problem}`, {
    hint: near === undefined ? undefined : `Did you mean ${near}?`,
  });
}
