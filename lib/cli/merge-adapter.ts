import type { Command } from "commander";
import { z } from "zod";
import { loraArgs, openStoredAdapter, resolveModelSource } from "../adapters/index.js";
import {
  adapterField,
  addConfigFlags,
  engineFields,
  maxShardSizeField,
  parseSize,
  readCommandConfig,
} from "../config/index.js";
import { Engine } from "../engine/index.js";
import { usageError } from "../errors/index.js";
import { dtypeOf, readModelConfig } from "../processing/index.js";
import { saveModelFolder } from "../trainer/index.js";
import type { CliContext } from "./context.js";
import { showFetching } from "./fetching.js";
import { printJson } from "./output.js";
import { DTYPE_BYTES, showWriting } from "./writing.js";

const Schema = z.object({
  model: z
    .string()
    .min(1)
    .optional()
    .describe("folder or hub name of the base model (default: the one that the adapter was made for)"),
  adapter: adapterField.adapter.unwrap().describe("folder or hub name of the LoRA adapter, in PEFT's format"),
  out: z.string().min(1).describe("folder to write"),
  dtype: z
    .enum(["auto", "f32", "bf16", "f16"])
    .default("auto")
    .describe("type of the written weights; auto: as the base model's config.json says"),
  ...maxShardSizeField,
  ...engineFields,
});

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("merge-adapter")
    .description("add a LoRA adapter to its model's weights, and write the model")
    .option("--json", "print the result as JSON");
  addConfigFlags(command, Schema);
  command.addHelpText(
    "after",
    "\nExample:\n  vlmr1-native merge-adapter --model DIR --adapter runs/mine/checkpoints/step-000100/adapter --out merged",
  );
  command.action(async (options: { json?: boolean }) => {
    await mergeAdapter(await readCommandConfig(command, Schema), options.json === true, context);
  });
}

async function mergeAdapter(options: z.output<typeof Schema>, json: boolean, context: CliContext): Promise<void> {
  const { model: base, adapter, out, dtype } = options;
  const maxShardBytes = parseSize(options.maxShardSize);
  const { signal } = context;
  const names = base === undefined ? { model: adapter } : { model: base, adapter };
  const source = await showFetching(context, (fetching) => resolveModelSource(names, fetching));
  const engine = await Engine.open(options);
  try {
    const stored = await openStoredAdapter(engine, source);
    if (stored === undefined) throw usageError(`${adapter} holds no adapter_config.json`);
    const lora = loraArgs(stored.spec, { weights: stored.weights, seed: 0 });
    const model = await engine.loadModel(source.directory, { lora, signal });
    const chosen = dtype === "auto" ? dtypeOf(await readModelConfig(source.directory)) : dtype;
    await showWriting(context, out, model.info().parameters * DTYPE_BYTES[chosen], () =>
      saveModelFolder(model, out, { what: "merged", dtype: chosen, maxShardBytes, signal }),
    );
    const layers = stored.spec.modules.length;
    if (json) printJson(context, { directory: out, model: source.directory, adapter, layers, dtype: chosen });
    else context.stdout.write(`${out}: ${source.directory} with ${adapter} (layers: ${layers}) merged in\n`);
  } finally {
    engine.dispose();
  }
}
