import { z } from "zod";
import { maxShardSizeField, profileField, seedField } from "./common.js";
import { underHeading } from "./headings.js";

const RESUME_EXPECTED = "expected true, false or the folder of a checkpoint";

/** `--resume`, `--resume runs/x/checkpoints/step-000040`. */
const resumeField = {
  resume: z
    .union([z.boolean(), z.string().regex(/./, RESUME_EXPECTED)], RESUME_EXPECTED)
    .transform((given) => (given === "true" ? true : given === "false" ? false : given))
    .default(false)
    .meta({
      description: "go on from the newest whole checkpoint in the run's folder, or from the checkpoint that is named",
      aliases: ["resumeFromCheckpoint"],
    }),
};

const DASHBOARD_EXPECTED = "expected true, false or a port from 0 to 65535";

/** `--dashboard`, `--dashboard 8080`. */
const dashboardFields = {
  dashboard: z
    .union([z.int().min(0).max(65535), z.boolean()], DASHBOARD_EXPECTED)
    .default(false)
    .meta({
      description:
        "serve a page that shows the run as it goes on, and takes commands " +
        "(port, unless named: 8790 or the next that is free; 0: any free one)",
      placeholder: "port",
    }),
  dashboardHost: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("address that the dashboard is served at; others than 127.0.0.1 let other machines in, with a token"),
};

/** How long a run lasts, what it writes and what it tells. */
export const runFields = underHeading("Run", {
  outputDir: z.string().optional().describe("folder of the run (default: runs/<objective>-<date and time>)"),
  overwriteOutputDir: z.boolean().default(false).describe("replace an earlier run in that folder"),
  ...resumeField,
  ...seedField,
  maxSteps: z.int().min(-1).default(-1).describe("steps to train; wins over num_train_epochs where it is not -1"),
  numTrainEpochs: z.number().gt(0).default(3).describe("passes over the data"),
  loggingSteps: z.int().min(1).default(10).describe("where the output is no terminal: print a line every N steps"),
  reportTo: z
    .array(z.enum(["tensorboard", "wandb", "none"]))
    .default(["tensorboard"])
    .describe("trackers, beside metrics.jsonl: tensorboard writes event files into the run's folder"),
  report: z.boolean().default(true).describe("make report.html in the run's folder when the command's run ends"),
  runName: z.string().min(1).optional().describe("what trackers call the run (default: the name of its folder)"),
  ...dashboardFields,
  ...profileField(" in the run's folder"),
  profileSteps: z.int().min(1).default(3).describe("steps that a profile records, after the first one"),
  saveSteps: z.int().min(0).default(100).describe("write a checkpoint every N steps; 0: only at the end or on Ctrl-C"),
  saveTotalLimit: z.int().min(1).default(2).describe("newest checkpoints to keep, beside the best one"),
  saveModelTo: z
    .string()
    .optional()
    .describe("write the trained model (with LoRA: the adapter) into this folder too, when the run is done"),
  saveMergedTo: z
    .string()
    .optional()
    .describe("LoRA: write the model with the adapter merged in into this folder, when the run is done"),
  saveDtype: z
    .enum(["auto", "f32", "bf16", "f16"])
    .default("auto")
    .describe("type of saved weights; auto: as the model's config.json says"),
  ...maxShardSizeField,
});
