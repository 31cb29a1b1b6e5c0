import type { NativeCompletion } from "../engine/index.js";
import type { Processor } from "../processing/index.js";

/** The machine form of a completion. */
export function completionJson(processor: Processor, completion: NativeCompletion, promptTokenIds: readonly number[]) {
  return {
    text: processor.tokenizer.decode(completion.tokens, { skipSpecialTokens: true }),
    token_ids: [...completion.tokens],
    logprobs: [...completion.logProbs],
    finish_reason: completion.finishReason,
    prompt_token_ids: promptTokenIds,
  };
}
