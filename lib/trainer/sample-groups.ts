import type { GrpoConfig } from "../config/train-schema.js";
import type { Place } from "./data-order.js";
import { type ScoredGroup, teaches } from "./judge.js";

export interface SampledGroups {
  /** To be learned from. */
  kept: ScoredGroup[];
  /** Every group that was sampled, in the order of the data. */
  all: ScoredGroup[];
  /** Rows that were taken, bad ones too. */
  rows: number;
  rounds: number;
}

export interface SampleOptions {
  /** Questions of the step. */
  count: number;
  config: Pick<GrpoConfig, "dynamicSampling" | "maxNumGenBatches">;
  /** Where in the data the step begins. */
  position: number;
  take(position: number, count: number): Place[];
  /** Samples and scores; may return fewer groups than places, where rows are bad. */
  sample(places: readonly Place[]): Promise<ScoredGroup[]>;
  warn(message: string): void;
}

/**
 * The groups of a step. With dynamic sampling (DAPO) groups without a difference of rewards are dropped, and as many
 * further questions are sampled, until the step is full, the rounds are over or the data are.
 */
export async function sampleGroups(options: SampleOptions): Promise<SampledGroups> {
  const { count, config, position, take, sample } = options;
  const out: SampledGroups = { kept: [], all: [], rows: 0, rounds: 0 };
  const rounds = config.dynamicSampling ? config.maxNumGenBatches : 1;
  while (out.kept.length < count && out.rounds < rounds) {
    const places = take(position + out.rows, count - out.kept.length);
    if (places.length === 0) break;
    const groups = await sample(places);
    out.rows += places.length;
    out.rounds += 1;
    out.all.push(...groups);
    out.kept.push(...(config.dynamicSampling ? groups.filter(teaches) : groups));
  }
  if (config.dynamicSampling && out.rounds === rounds && out.kept.length < count) {
    options.warn(
      `dynamic sampling found ${out.kept.length} of ${count} groups with different rewards in ${rounds} rounds ` +
        `(${out.all.length} groups); the step goes on with them. Harder or easier questions, a higher temperature or ` +
        "more num_generations make groups differ; max_num_gen_batches allows more rounds",
    );
  }
  return out;
}
