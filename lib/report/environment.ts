import { z } from "zod";

/** What a run was made with: its model, and per process that went on with it, where that ran. */
export const EnvironmentSchema = z.object({
  objective: z.enum(["grpo", "sft"]),
  model: z.object({
    name: z.string(),
    /** As config.json has it, such as "qwen2_5_vl". */
    type: z.string(),
    parameters: z.number(),
    trainable_parameters: z.number(),
  }),
  /** In order; those whose steps a later one has made anew are not among them. */
  sessions: z.array(
    z.object({
      /** Steps that were done when it began. */
      from_step: z.int().min(0),
      /** ISO 8601. */
      started: z.string(),
      /** This package's. */
      version: z.string(),
      node: z.string(),
      system: z.string(),
      processor: z.string(),
      /** Logical ones. */
      cores: z.int().min(1),
      memory_bytes: z.number(),
      device: z.string(),
      threads: z.int().min(1),
      isa: z.string(),
      /** Relative paths of the configuration start here. */
      working_folder: z.string(),
    }),
  ),
});
export type Environment = z.output<typeof EnvironmentSchema>;
export type EnvironmentSession = Environment["sessions"][number];
