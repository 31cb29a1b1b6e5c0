import type { FinishReason } from "./answer.js";
import type { Delta, TokenLogprob } from "./choice-text.js";

export interface Usage {
  promptTokens: number;
  completionTokens: number;
}

/** What all parts of one answer have in common. */
export interface AnswerHead {
  id: string;
  /** Seconds since 1970. */
  created: number;
  model: string;
  fingerprint: string;
}

export interface Choice {
  text: string;
  logprobs: TokenLogprob[] | undefined;
  finishReason: FinishReason;
}

function common({ id, created, model, fingerprint }: AnswerHead, object: string) {
  return { id, object, created, model, system_fingerprint: fingerprint };
}

function logprobsOf(content: TokenLogprob[] | undefined) {
  return content === undefined ? null : { content, refusal: null };
}

export function usageOf({ promptTokens, completionTokens }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

export function chatCompletion(head: AnswerHead, choices: readonly Choice[], usage: Usage) {
  return {
    ...common(head, "chat.completion"),
    choices: choices.map(({ text, logprobs, finishReason }, index) => ({
      index,
      message: { role: "assistant", content: text, refusal: null },
      logprobs: logprobsOf(logprobs),
      finish_reason: finishReason,
    })),
    usage: usageOf(usage),
  };
}

/** The chunks of a streamed answer. With `includeUsage` all say that the usage comes at the end, as OpenAI's do. */
export class ChunkFormat {
  constructor(
    private readonly head: AnswerHead,
    private readonly options: { logprobs: boolean; includeUsage: boolean },
  ) {}

  begin(index: number) {
    return this.chunk([this.choice(index, { role: "assistant", content: "" }, undefined, null)]);
  }

  delta(index: number, { text, logprobs }: Delta) {
    return this.chunk([this.choice(index, { content: text }, this.options.logprobs ? logprobs : undefined, null)]);
  }

  finish(index: number, reason: FinishReason) {
    return this.chunk([this.choice(index, {}, undefined, reason)]);
  }

  usage(usage: Usage) {
    return { ...common(this.head, CHUNK), choices: [], usage: usageOf(usage) };
  }

  private chunk(choices: unknown[]) {
    return { ...common(this.head, CHUNK), choices, ...(this.options.includeUsage ? { usage: null } : {}) };
  }

  private choice(index: number, delta: object, logprobs: TokenLogprob[] | undefined, reason: FinishReason | null) {
    return { index, delta, logprobs: logprobsOf(logprobs), finish_reason: reason };
  }
}

const CHUNK = "chat.completion.chunk";
