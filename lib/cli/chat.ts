import { isAbort, throwIfAborted, VlmR1Error } from "../errors/index.js";
import { AnswerWriter } from "./answer-writer.js";
import { CHAT_HELP, type ChatCommand, parseChatCommand } from "./chat-commands.js";
import { Conversation } from "./chat-conversation.js";
import { type ChatInput, openChatInput } from "./chat-input.js";
import { MessageLines } from "./chat-lines.js";
import type { CliContext } from "./context.js";
import { type GenerateConfig, samplingOf } from "./generate-options.js";
import { type Opened, withModel } from "./open.js";
import { printJson, writeAnswer } from "./output.js";

/** A conversation: on a terminal with prompts, else a message per line; `first` is the first message. */
export async function chat(
  config: GenerateConfig,
  first: string | undefined,
  json: boolean,
  context: CliContext,
): Promise<void> {
  const { signal } = context;
  await withModel(context, config, { signal }, async (opened) => {
    const input = openChatInput(signal);
    try {
      const interrupt = () => process.kill(process.pid, "SIGINT");
      await new Chat({ config, opened, context, input, json, interrupt }).run(first);
    } finally {
      input.close();
    }
  });
}

export interface ChatParts {
  config: GenerateConfig;
  opened: Opened;
  context: CliContext;
  input: ChatInput;
  json: boolean;
  /** Ends the program as a signal does. */
  interrupt(): void;
}

/** An answer, whole or cut. */
interface Answered {
  text: string;
  finishReason: "stop" | "length" | "interrupted";
  tokens: number;
  promptTokens: number;
  /** Seconds to the first token, and to the last. */
  firstSeconds: number | undefined;
  seconds: number;
}

export class Chat {
  private readonly conversation: Conversation;
  private readonly lines = new MessageLines();
  /** Numbers every answer of the program, also those of conversations that were forgotten. */
  private asked = 0;
  private failed = 0;

  constructor(private readonly parts: ChatParts) {
    this.conversation = new Conversation(parts.opened, parts.config.system);
  }

  /** Until the end of the input, or `/exit`. Rejects when messages of an input without a person were not answered. */
  async run(first: string | undefined): Promise<void> {
    const { config, context, input } = this.parts;
    for (const path of config.image) await this.conversation.attach(path, context.signal);
    if (input.interactive) this.tell(`chat with ${config.model}; /help lists the commands, Ctrl-D ends`);
    let message = first ?? (await this.read());
    while (message !== undefined && (await this.handle(message))) message = await this.read();
    throwIfAborted(context.signal);
    if (this.failed === 0 || input.interactive) return;
    throw new VlmR1Error("ERR_DATA", `${this.failed} of the chat's messages and commands failed; see above`);
  }

  private async read(): Promise<string | undefined> {
    const { input, context, interrupt } = this.parts;
    input.onInterrupt(() => {
      if (!this.lines.unfinished) return interrupt();
      // As in a shell, the message that is being written is given up, not the chat.
      this.lines.drop();
      this.tell("");
    });
    for (;;) {
      const pictures = this.conversation.pictures;
      const note = pictures === 0 ? "" : `(${pictures} ${pictures === 1 ? "picture" : "pictures"}) `;
      const line = await input.next(this.lines.unfinished ? "… " : `${note}> `);
      throwIfAborted(context.signal);
      const message = line === undefined ? this.lines.end() : this.lines.push(line);
      if (line === undefined || message !== undefined) return message;
    }
  }

  /** Whether the chat goes on. */
  private async handle(message: string): Promise<boolean> {
    if (message.trim() === "") return true;
    const { context, json } = this.parts;
    try {
      return await this.obey(parseChatCommand(message));
    } catch (error) {
      if (!(error instanceof VlmR1Error) || isAbort(error, context.signal)) throw error;
      this.failed += 1;
      if (json) printJson(context, { error: { code: error.code, message: error.message } });
      this.tell(`error: ${error.message}${error.hint === undefined ? "" : `\nhint: ${error.hint}`}`);
      return true;
    }
  }

  private async obey(command: ChatCommand): Promise<boolean> {
    const { conversation } = this;
    switch (command.kind) {
      case "message":
        await this.answer(command.text);
        break;
      case "image":
        for (const path of command.paths) await conversation.attach(path, this.parts.context.signal);
        break;
      case "system":
        if (command.text !== "") conversation.system = command.text;
        else this.tell(conversation.system ?? "there is no system message of yours");
        break;
      case "save":
        await conversation.save(command.path);
        this.tell(`wrote ${command.path}`);
        break;
      case "reset":
        conversation.reset();
        break;
      case "help":
        this.tell(CHAT_HELP);
        break;
      case "exit":
        return false;
    }
    return true;
  }

  private async answer(text: string): Promise<void> {
    const { context, json } = this.parts;
    const answered = await this.draw(text);
    if (answered.finishReason === "interrupted" && answered.text === "") {
      return this.tell("note: interrupted before there was an answer; the message is not kept");
    }
    this.conversation.keep(text, answered.text);
    if (json) {
      printJson(context, {
        turn: this.conversation.length,
        text: answered.text,
        finish_reason: answered.finishReason,
        prompt_tokens: answered.promptTokens,
        completion_tokens: answered.tokens,
        seconds_to_first_token: answered.firstSeconds ?? null,
        seconds: answered.seconds,
      });
      return;
    }
    context.stdout.write("\n");
    if (answered.finishReason === "length") this.tell("note: cut at --max-new-tokens, or at the model's length");
    if (answered.finishReason === "interrupted") this.tell("note: interrupted; what there is of the answer is kept");
  }

  private async draw(text: string): Promise<Answered> {
    const { config, opened, context, input, json } = this.parts;
    const stop = new AbortController();
    input.onInterrupt(() => stop.abort());
    const signal = AbortSignal.any([context.signal, stop.signal]);
    const started = performance.now();
    const seconds = () => Math.round(performance.now() - started) / 1000;
    const writer = new AnswerWriter(opened.processor.tokenizer, (piece) => {
      if (!json) writeAnswer(context, piece);
    });
    let firstSeconds: number | undefined;
    const { prompt, room } = await this.conversation.prompt(text, config.maxNewTokens, context.signal);
    const answered = (finishReason: Answered["finishReason"]): Answered => ({
      ...{ text: writer.text, finishReason, tokens: writer.tokens, promptTokens: prompt.tokens.length },
      ...{ firstSeconds, seconds: seconds() },
    });
    this.asked += 1;
    try {
      const completions = await opened.model.generate({
        prompts: [prompt],
        seed: config.seed,
        firstRow: this.asked - 1,
        sampling: { ...samplingOf(config, opened.processor), maxNewTokens: room },
        signal,
        onProgress: (progress) => {
          if (progress.news.length > 0) firstSeconds ??= seconds();
          writer.report(progress);
        },
      });
      const completion = completions[0]![0]!;
      writer.finish(completion.tokens);
      firstSeconds ??= seconds();
      return answered(completion.finishReason);
    } catch (error) {
      writer.end();
      if (!json && writer.text !== "" && !stop.signal.aborted) context.stdout.write("\n");
      if (stop.signal.aborted && !context.signal.aborted) return answered("interrupted");
      throw error;
    }
  }

  private tell(text: string): void {
    this.parts.context.stderr.write(`${text}\n`);
  }
}
