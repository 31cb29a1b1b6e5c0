import type { Command } from "commander";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import type { GenerateProgress, NativeCompletion } from "../engine/index.js";
import { usageError } from "../errors/index.js";
import { type Message, type Processor, type Prompt, placeImages } from "../processing/index.js";
import { AnswerWriter } from "./answer-writer.js";
import { chat } from "./chat.js";
import { completionJson } from "./completion-json.js";
import type { CliContext } from "./context.js";
import { answerFile } from "./generate-batch.js";
import { checkModes, type GenerateConfig, generateSchema, samplingOf } from "./generate-options.js";
import { type Opened, withModel } from "./open.js";
import { printJson, StatusLine, writeAnswer } from "./output.js";
import { isTerminal, readStandardInput } from "./standard-input.js";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("generate")
    .description("answer a prompt, with pictures or without, a file of prompts, or a conversation")
    .argument("[prompt]", "the question, where --prompt is not given (default: standard input)")
    .option(
      "--json",
      "print one JSON object per completion: text, token_ids, logprobs, finish_reason, prompt_token_ids; " +
        "with --chat per turn",
    );
  addConfigFlags(command, generateSchema);
  command.addHelpText(
    "after",
    '\nExamples:\n  vlmr1-native generate --model DIR --image dish.jpg --prompt "What is this?"\n' +
      "  vlmr1-native generate --model DIR --chat\n" +
      "  vlmr1-native generate --model DIR --prompts-file questions.jsonl --json > answers.jsonl",
  );
  command.action(async (argument: string | undefined, options: { json?: boolean }) => {
    const config = await readCommandConfig(command, generateSchema);
    const json = options.json === true;
    const given = givenPrompt(config, argument);
    checkModes(config, given);
    if (config.chat) return chat(config, given, json, context);
    if (config.promptsFile !== undefined) return answerFile(config, config.promptsFile, json, context);
    await generate(config, await promptText(given, config, context), json, context);
  });
}

function givenPrompt({ prompt }: GenerateConfig, argument: string | undefined): string | undefined {
  if (prompt !== undefined && argument !== undefined) {
    throw usageError("the prompt was given twice: as --prompt and as an argument", "Quote a prompt that has spaces.");
  }
  return prompt ?? argument;
}

/** Standard input as it is for `-`; where there is no prompt, without the line's end that `echo` writes. */
async function promptText(
  given: string | undefined,
  { image, profile }: GenerateConfig,
  { signal }: CliContext,
): Promise<string> {
  if (given !== undefined && given !== "-") return given;
  if (given === "-") return readStandardInput(signal);
  const hint = 'Give --prompt "…", write it to standard input, or go on asking with --chat.';
  const taken = takenPrompt(image, profile);
  if (isTerminal()) throw usageError("there is no prompt", hint + taken);
  const text = (await readStandardInput(signal)).replace(/\r?\n$/, "");
  if (text === "") throw usageError("there is no prompt, and standard input is empty", hint + taken);
  return text;
}

/** The shell's words behind --image are pictures up to the next flag, the one behind --profile is its file. */
function takenPrompt(image: readonly string[], profile: GenerateConfig["profile"]): string {
  if (image.length > 1) return ` "${image.at(-1)}" was taken for a picture: a prompt goes before --image.`;
  if (typeof profile !== "string") return "";
  return ` "${profile}" was taken for the profile's file: a prompt goes before --profile.`;
}

async function generate(config: GenerateConfig, text: string, json: boolean, context: CliContext): Promise<void> {
  const { signal } = context;
  const turns: { role: Message["role"]; text: string }[] = [{ role: "user", text }];
  if (config.system !== undefined) turns.unshift({ role: "system", text: config.system });
  const messages = placeImages(turns, config.image.length);
  await withModel(context, config, { signal }, async (opened) => {
    const prompt = await opened.processor.prompt(messages, config.image, { signal });
    const request: Request = { config, opened, prompt, context };
    if (!json && config.n === 1) {
      await streamText(request);
      return;
    }
    const completions = await complete(request);
    const tokenIds = [...prompt.tokens];
    for (const [index, completion] of completions.entries()) {
      if (json) printJson(context, completionJson(opened.processor, completion, tokenIds));
      else printText(opened.processor, completion, index, completions.length, context);
    }
  });
}

interface Request {
  config: GenerateConfig;
  opened: Opened;
  prompt: Prompt;
  context: CliContext;
}

/** Writes the one completion as it is drawn. When it is interrupted, what there is stays, and its line is ended. */
async function streamText(request: Request): Promise<void> {
  const { opened, context } = request;
  const writer = new AnswerWriter(opened.processor.tokenizer, (text) => writeAnswer(context, text));
  try {
    const [completion] = await sample(request, writer.report);
    writer.finish(completion?.tokens ?? new Int32Array());
    context.stdout.write("\n");
    if (completion?.finishReason === "length") context.stderr.write("note: cut at --max-new-tokens\n");
  } catch (error) {
    writer.end();
    if (writer.text !== "") context.stdout.write("\n");
    throw error;
  }
}

async function complete(request: Request): Promise<NativeCompletion[]> {
  const status = new StatusLine(request.context);
  const started = performance.now();
  try {
    return await sample(request, ({ tokens, finished, total }) => {
      const rate = (tokens * 1000) / (performance.now() - started);
      status.show(`${tokens} tokens, ${rate.toFixed(1)} per second, ${finished} of ${total} finished`);
    });
  } finally {
    status.clear();
  }
}

async function sample(
  { config, opened, prompt, context }: Request,
  onProgress: (progress: GenerateProgress) => void,
): Promise<NativeCompletion[]> {
  const { n, maxNumSeqs, seed } = config;
  const [completions = []] = await opened.model.generate({
    prompts: [prompt],
    n,
    maxRows: maxNumSeqs,
    seed,
    sampling: samplingOf(config, opened.processor),
    signal: context.signal,
    onProgress,
  });
  return completions;
}

function printText(
  processor: Processor,
  completion: NativeCompletion,
  index: number,
  total: number,
  context: CliContext,
): void {
  const text = processor.tokenizer.decode(completion.tokens, { skipSpecialTokens: true });
  const cut = completion.finishReason === "length" ? " (cut at --max-new-tokens)" : "";
  writeAnswer(context, `--- ${index + 1} of ${total}${cut}\n${text}\n`);
}
