import type { Command } from "commander";
import { z } from "zod";
import {
  addConfigFlags,
  engineFields,
  maxShardSizeField,
  parseSize,
  presetNames,
  presets,
  readCommandConfig,
  readConfigFile,
  seedField,
} from "../config/index.js";
import { Engine } from "../engine/index.js";
import { usageError } from "../errors/index.js";
import { resolveModel } from "../hub/index.js";
import { prepareModelFolder, refuseFilled, replaceFolder } from "../processing/index.js";
import type { CliContext } from "./context.js";
import { showFetching } from "./fetching.js";
import { printJson } from "./output.js";
import { DTYPE_BYTES, showWriting } from "./writing.js";

// Here --config is the model's own config.json, as the command's name suggests, not a file of flags.
const Schema = z.object({
  config: z.string().optional().describe("config.json with the architecture"),
  preset: z
    .enum([...presetNames])
    .optional()
    .describe("an architecture by name"),
  tokenizer: z.string().min(1).describe("folder or hub name with tokenizer.json and tokenizer_config.json"),
  out: z.string().min(1).describe("folder to write; it must be empty or new"),
  dtype: z.enum(["f32", "bf16", "f16"]).default("f32").describe("type of the written weights"),
  ...maxShardSizeField,
  force: z.boolean().default(false).describe("write into a folder that holds files"),
  ...seedField,
  ...engineFields,
});

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("init-model")
    .description("make a model with random weights, to train from nothing")
    .option("--json", "print the result as JSON");
  addConfigFlags(command, Schema, { noConfigFile: true });
  command.addHelpText(
    "after",
    "\nExample:\n  vlmr1-native init-model --preset starter --tokenizer examples/food/tokenizer --out runs/new",
  );
  command.action(async (options: { json?: boolean }) => {
    await initModel(await readCommandConfig(command, Schema, { noConfigFile: true }), options.json === true, context);
  });
}

async function initModel(options: z.output<typeof Schema>, json: boolean, context: CliContext): Promise<void> {
  const { config, preset, tokenizer, out, force, seed, dtype } = options;
  if ((config === undefined) === (preset === undefined)) {
    throw usageError("expected either --config or --preset", `Presets: ${presetNames.join(", ")}.`);
  }
  const { signal } = context;
  const tokenizerFolder = await showFetching(context, (fetching) =>
    resolveModel(tokenizer, { ...fetching, wanted: "tokenizer" }),
  );
  const engine = await Engine.open(options);
  try {
    const architecture = config === undefined ? presets[preset ?? ""]?.config : await readConfigFile(config);
    const fields = z.record(z.string(), z.unknown(), `${config}: expected a map of fields`).parse(architecture);
    const maxShardBytes = parseSize(options.maxShardSize);
    if (!force) await refuseFilled(out);
    let parameters = 0;
    await replaceFolder(out, async (folder) => {
      const text = await prepareModelFolder({ config: fields, dtype, tokenizer: tokenizerFolder, out: folder });
      const bytes = engine.describeModel(text).info.parameters * DTYPE_BYTES[dtype];
      const write = () => engine.initModel({ config: text, directory: folder, seed, dtype, maxShardBytes, signal });
      ({ parameters } = await showWriting(context, out, bytes, write));
    });
    if (json) printJson(context, { directory: out, parameters, seed, dtype });
    else context.stdout.write(`${out}: ${parameters.toLocaleString("en-US")} parameters, ${dtype}, seed ${seed}\n`);
  } finally {
    engine.dispose();
  }
}
