import type { Tokenizer } from "../processing/index.js";
import { ChoiceText, type Delta } from "./choice-text.js";
import type { Prepared } from "./prepare.js";
import type { Row, RowEnd, Scheduler } from "./scheduler.js";

export type FinishReason = "stop" | "length";

/** Gets what a choice has grown by. Called from the scheduler's loop: must not wait or throw. */
export interface AnswerSink {
  delta(choice: number, delta: Delta): void;
  finish(choice: number, reason: FinishReason): void;
}

export interface AnswerParts {
  scheduler: Scheduler;
  tokenizer: Tokenizer;
}

/** Decodes all choices of a request; tells `onTokens` how many tokens were drawn for them. */
export async function answer(
  { scheduler, tokenizer }: AnswerParts,
  { rows, stops }: Prepared,
  { logprobs, sink, onTokens }: { logprobs: boolean; sink: AnswerSink; onTokens: (count: number) => void },
  signal: AbortSignal,
): Promise<void> {
  const growing = rows.map((request, choice): Row => {
    const text = new ChoiceText(tokenizer, stops, logprobs);
    const tell = (delta: Delta) => {
      if (delta.text !== "" || delta.logprobs.length > 0) sink.delta(choice, delta);
    };
    return {
      request,
      take(tokens) {
        let used = 0;
        for (const { token, logProb } of tokens) {
          if (text.stopped) break;
          text.push(token, logProb);
          used += 1;
        }
        onTokens(used);
        tell(text.take());
        return !text.stopped;
      },
      end(reason) {
        text.end();
        tell(text.take(true));
        sink.finish(choice, finishReason(reason, text));
      },
    };
  });
  await scheduler.complete(growing, signal);
}

/** A stop string may turn up in what was held back to the last token. */
function finishReason(reason: RowEnd, { stopped }: ChoiceText): FinishReason {
  return reason === "length" && !stopped ? "length" : "stop";
}
