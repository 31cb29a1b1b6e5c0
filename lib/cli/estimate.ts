import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { type ModelSource, resolveModelSource } from "../adapters/index.js";
import { addConfigFlags, parseSize, presetNames, readCommandConfig } from "../config/index.js";
import { SIZE_PATTERN } from "../config/size.js";
import { grpoSchema } from "../config/train-schema.js";
import { describeProblem, loadConversations } from "../data/datasets/index.js";
import { Engine } from "../engine/index.js";
import { usageError } from "../errors/index.js";
import { resolveModel } from "../hub/index.js";
import { Processor } from "../processing/index.js";
import { estimatedModel, estimatedPreset } from "../trainer/estimated-model.js";
import { type EstimatedRun, estimateMemory } from "../trainer/memory-estimate.js";
import { adviseOn, largestGroup, memoryLimit } from "../trainer/memory-fit.js";
import { estimateBudgeted } from "../trainer/micro-batch-budget.js";
import { measureRows } from "../trainer/prompt-sizes.js";
import type { CliContext } from "./context.js";
import { type EstimateResult, estimateJson, estimateLines } from "./estimate-table.js";
import { showFetching } from "./fetching.js";
import { printJson, warn } from "./output.js";

const SIZE = /^\d+x\d+$/i;
/** Rows of a data set whose prompts are measured. */
const LOOKED = 256;
const { model, dataset } = grpoSchema.shape;

/** Those of `train`, so that its configuration files and flags can be given as they are, and what stands in for data. */
const Schema = z.object({
  preset: z
    .enum([...presetNames])
    .optional()
    .describe("an architecture by name, in place of a model"),
  storedDtype: z
    .enum(["auto", "f32", "bf16", "f16"])
    .default("auto")
    .describe("type of the checkpoint's weights; auto: as its files say, of a preset bf16"),
  promptTokens: z.int().min(1).optional().describe("in place of a data set: tokens of a question, its pictures aside"),
  image: z
    .array(z.string().regex(SIZE, "expected WIDTHxHEIGHT, such as 640x480"))
    .optional()
    .describe("in place of a data set: sizes of a question's pictures, as WIDTHxHEIGHT"),
  memory: z
    .string()
    .regex(SIZE_PATTERN, "expected a size such as 16GB")
    .optional()
    .describe("memory that a run may take (default: what this machine has available)"),
  ...grpoSchema.shape,
  model: model.optional(),
  dataset: dataset.optional(),
});

type Options = z.output<typeof Schema>;

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("estimate")
    .description("say what memory a training run takes, and the largest group that fits")
    .option("--json", "print the result as JSON");
  addConfigFlags(command, Schema);
  command.addHelpText(
    "after",
    "\nIt takes the options of train and ignores those that memory does not depend on.\n" +
      "\nExample:\n  vlmr1-native estimate --preset qwen2.5-vl-3b --use-peft --prompt-tokens 60 --image 448x448 --memory 16GB",
  );
  command.action(async (options: { json?: boolean }) => {
    await estimate(await readCommandConfig(command, Schema), options.json === true, context);
  });
}

async function estimate(options: Options, json: boolean, context: CliContext): Promise<void> {
  const { device, threads, isa } = options;
  const engine = await Engine.open({ device: device === "auto" ? "cpu" : device, threads, isa });
  try {
    const result = await estimateRun(engine, options, context);
    if (json) printJson(context, estimateJson(result));
    else context.stdout.write(`${estimateLines(result).join("\n")}\n`);
  } finally {
    engine.dispose();
  }
}

async function estimateRun(engine: Engine, options: Options, context: CliContext): Promise<EstimateResult> {
  const { signal } = context;
  const { run, workload } = await describeRun(engine, options, context);
  const limit = options.memory === undefined ? memoryLimit() : parseSize(options.memory);
  const { budget, estimate: first } = await estimateBudgeted(engine, run, options, limit, { signal });
  // Where memory is short a chosen budget comes down to one group, whatever its size.
  const tightest = { ...options, maxTokensPerMicrobatch: options.maxTokensPerMicrobatch === "auto" ? 1 : budget };
  const peakOf = async (numGenerations: number) =>
    (await estimateMemory(engine, run, { ...tightest, numGenerations }, { signal })).peak;
  const promptTokens = Math.max(...first.prompts.map(({ tokens }) => tokens));
  const largest = await largestGroup({ peakOf, limit, promptTokens, config: tightest });
  const advice = first.peak <= limit ? [] : await adviseOn(engine, run, tightest, first, { signal });
  const { numGenerations, maxCompletionLength } = options;
  return { estimate: first, workload, numGenerations, maxCompletionLength, budget, limit, largest, advice };
}

interface Described {
  run: EstimatedRun;
  /** Where the prompts' sizes come from, in words. */
  workload: string;
}

async function describeRun(engine: Engine, options: Options, context: CliContext): Promise<Described> {
  const { model: name, preset } = options;
  if ((name === undefined) === (preset === undefined)) {
    throw usageError("expected either --model or --preset", `Presets: ${presetNames.join(", ")}.`);
  }
  const source = name === undefined ? undefined : await findModel(name, options, context);
  const found = source === undefined ? estimatedPreset(engine, preset as string) : await estimatedModel(engine, source);
  const storedDtype = options.storedDtype === "auto" ? found.storedDtype : options.storedDtype;
  const { workload, ...data } = await promptSizes(engine, options, source?.directory, context);
  // With the tokenizer and the rows in it the process is as large as a run's when that begins.
  const processBytes = process.memoryUsage().rss;
  return { run: { ...found, storedDtype, ...data, processBytes }, workload };
}

/** Of a hub's model only what says how large it is; an adapter is fetched whole. */
async function findModel(model: string, { revision, adapter }: Options, context: CliContext): Promise<ModelSource> {
  return showFetching(context, async (fetching) => {
    const folder = await resolveModel(model, { ...fetching, revision, wanted: "tokenizer" });
    const isModel = existsSync(join(folder, "config.json"));
    return resolveModelSource(isModel ? { model: folder, adapter } : { model, revision, adapter }, fetching);
  });
}

async function promptSizes(
  engine: Engine,
  options: Options,
  directory: string | undefined,
  context: CliContext,
): Promise<Pick<EstimatedRun, "prompts" | "rows"> & { workload: string }> {
  const { promptTokens, image = [], dataset: files } = options;
  if (promptTokens !== undefined) {
    const pictures = image.map(pictureSize);
    return { prompts: [{ textTokens: promptTokens, pictures }], rows: undefined, workload: "as given" };
  }
  if (files === undefined || directory === undefined) {
    throw usageError("expected --prompt-tokens, or --model and --dataset", "Pictures are added with --image 640x480.");
  }
  const { signal } = context;
  const { rows, problems } = await loadConversations(files, { imageFolders: options.imageFolders, signal });
  for (const problem of problems) warn(context, `left out: ${describeProblem(problem)}`);
  const processor = await Processor.load(directory, engine);
  const { promptSuffix } = options;
  const { sizes, looked } = await measureRows(processor, rows, { promptSuffix, limit: LOOKED, signal });
  const seen = options.augment ? undefined : rows.length;
  return { prompts: sizes, rows: seen, workload: `the longest of ${looked} rows looked at, of ${rows.length}` };
}

function pictureSize(text: string): { width: number; height: number } {
  const [width = 0, height = 0] = text.toLowerCase().split("x").map(Number);
  return { width, height };
}
