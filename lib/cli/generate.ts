import { addAbortSignal } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import { z } from "zod";
import {
  addConfigFlags,
  maxNumSeqsField,
  modelFields,
  profileField,
  readCommandConfig,
  samplingFields,
  seedField,
} from "../config/index.js";
import type { GenerateProgress, NativeCompletion } from "../engine/index.js";
import { fromSystem, throwIfAborted, usageError } from "../errors/index.js";
import { type Message, type Processor, type Prompt, placeImages, resolveSampling } from "../processing/index.js";
import type { CliContext } from "./context.js";
import { type Opened, withModel } from "./open.js";
import { printJson, StatusLine } from "./output.js";

const Schema = z.object({
  ...modelFields,
  prompt: z.string().optional().describe("the question; <image> marks where a picture stands; - reads standard input"),
  image: z.array(z.string()).default([]).describe("pictures, in the order in which the prompt speaks of them"),
  system: z.string().optional().describe("system message"),
  n: z.int().min(1).max(4096).default(1).describe("completions of the same prompt"),
  maxNewTokens: z.int().min(1).default(256).describe("longest completion in tokens"),
  ...samplingFields,
  ...maxNumSeqsField,
  ...seedField,
  ...profileField(),
});

type Config = z.output<typeof Schema>;

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("generate")
    .description("answer a prompt, with pictures or without")
    .argument("[prompt]", "the question, where --prompt is not given")
    .option(
      "--json",
      "print one JSON object per completion: text, token_ids, logprobs, finish_reason, prompt_token_ids",
    );
  addConfigFlags(command, Schema);
  command.addHelpText(
    "after",
    '\nExample:\n  vlmr1-native generate --model DIR --image dish.jpg --prompt "What is this?"',
  );
  command.action(async (argument: string | undefined, options: { json?: boolean }) => {
    const config = await readCommandConfig(command, Schema);
    await generate(config, await promptText(config, argument, context), options.json === true, context);
  });
}

async function promptText(
  { prompt: flag, image, profile }: Config,
  argument: string | undefined,
  { signal }: CliContext,
): Promise<string> {
  if (flag !== undefined && argument !== undefined) {
    throw usageError("the prompt was given twice: as --prompt and as an argument", "Quote a prompt that has spaces.");
  }
  const text = flag ?? argument;
  if (text === undefined) {
    const hint = 'Give --prompt "…", or --prompt - to read standard input.';
    throw usageError("there is no prompt", hint + takenPrompt(image, profile));
  }
  if (text !== "-") return text;
  try {
    return await readAll(addAbortSignal(signal, process.stdin));
  } catch (error) {
    throwIfAborted(signal);
    throw fromSystem(error, "read", "standard input");
  }
}

/** The shell's words behind --image are pictures up to the next flag, the one behind --profile is its file. */
function takenPrompt(image: readonly string[], profile: Config["profile"]): string {
  if (image.length > 1) return ` "${image.at(-1)}" was taken for a picture: a prompt goes before --image.`;
  if (typeof profile !== "string") return "";
  return ` "${profile}" was taken for the profile's file: a prompt goes before --profile.`;
}

async function generate(config: Config, text: string, json: boolean, context: CliContext): Promise<void> {
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
      if (json) printJson(context, toJson(opened.processor, completion, tokenIds));
      else printText(opened.processor, completion, index, completions.length, context);
    }
  });
}

interface Request {
  config: Config;
  opened: Opened;
  prompt: Prompt;
  context: CliContext;
}

/** Writes the one completion as it is drawn. When it is interrupted, what there is stays, and its line is ended. */
async function streamText(request: Request): Promise<void> {
  const { opened, context } = request;
  const { tokenizer } = opened.processor;
  const decoder = tokenizer.stream({ skipSpecialTokens: true });
  let shown = 0;
  let wrote = false;
  const write = (text: string) => {
    if (text === "") return;
    wrote = true;
    context.stdout.write(text);
  };
  const push = (tokens: Iterable<number>) => {
    for (const token of tokens) {
      shown += 1;
      write(decoder.push(token));
    }
  };
  try {
    const [completion] = await sample(request, ({ news }) => push(news.map(({ token }) => token)));
    // Reports come now and then; the last one may be behind the end.
    push(completion?.tokens.subarray(shown) ?? []);
    write(decoder.end());
    context.stdout.write("\n");
    if (completion?.finishReason === "length") context.stderr.write("note: cut at --max-new-tokens\n");
  } catch (error) {
    write(decoder.end());
    if (wrote) context.stdout.write("\n");
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
  const { temperature, topK, topP, minP, repetitionPenalty, maxNewTokens, n, maxNumSeqs, seed } = config;
  const given = { temperature, topK, topP, minP, repetitionPenalty, maxNewTokens };
  const [completions = []] = await opened.model.generate({
    prompts: [prompt],
    n,
    maxRows: maxNumSeqs,
    seed,
    sampling: resolveSampling(opened.processor.generation, given),
    signal: context.signal,
    onProgress,
  });
  return completions;
}

function toJson(processor: Processor, completion: NativeCompletion, promptTokenIds: number[]): unknown {
  return {
    text: processor.tokenizer.decode(completion.tokens, { skipSpecialTokens: true }),
    token_ids: [...completion.tokens],
    logprobs: [...completion.logProbs],
    finish_reason: completion.finishReason,
    prompt_token_ids: promptTokenIds,
  };
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
  context.stdout.write(`--- ${index + 1} of ${total}${cut}\n${text}\n`);
}
