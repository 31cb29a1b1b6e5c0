import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { throwIfAborted } from "../errors/index.js";
import type { Processor } from "../processing/index.js";
import type { Admission } from "./admission.js";
import { type AnswerSink, answer } from "./answer.js";
import { noModel } from "./api-error.js";
import { type ChatRequest, parseChatRequest } from "./chat-request.js";
import type { TokenLogprob } from "./choice-text.js";
import type { Counters } from "./counters.js";
import type { Gate } from "./gate.js";
import { EventStream, sendJson } from "./http-answer.js";
import { readJsonBody } from "./http-body.js";
import { type AnswerHead, type Choice, ChunkFormat, chatCompletion, type Usage } from "./openai-format.js";
import { type Prepared, prepare, type RequestLimits } from "./prepare.js";
import type { Scheduler } from "./scheduler.js";

/** What the server has when its model is loaded. */
export interface ChatService {
  processor: Processor;
  scheduler: Scheduler;
  admission: Admission;
  /** For requests with pictures, which take far more memory once they are decoded than in the request. */
  gate: Gate;
  counters: Counters;
  limits: RequestLimits;
  /** What the model is called. */
  model: string;
  fingerprint: string;
  seed: number;
  stallMilliseconds: number;
}

export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  /** Aborted when the client goes away, time is up, or the server is stopped. */
  signal: AbortSignal;
  /** The client does not read. */
  stall(): void;
  usage: Usage;
}

/** POST /v1/chat/completions. */
export async function completeChat(service: ChatService, exchange: Exchange): Promise<void> {
  const number = service.admission.enter();
  try {
    const { signal } = exchange;
    const request = parseChatRequest(await readJsonBody(exchange.request, service.limits.maxBytes), service.limits);
    checkModel(request, service.model);
    throwIfAborted(signal);
    const respond = () => respondTo(request, number, service, exchange);
    await (holdsPicture(request) ? service.gate.during(signal, respond) : respond());
  } finally {
    service.admission.leave();
  }
}

async function respondTo(request: ChatRequest, number: number, service: ChatService, exchange: Exchange) {
  const { response, signal, usage } = exchange;
  const stream = { seed: service.seed, row: number };
  const prepared = await prepare(request, service.processor, service.limits, stream, signal);
  usage.promptTokens = prepared.promptTokens;
  service.counters.promptTokens += prepared.promptTokens;
  const head: AnswerHead = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: service.model,
    fingerprint: service.fingerprint,
  };
  const made = { service, exchange, request, prepared, head };
  if (request.stream === true) await streamAnswer(made);
  else sendJson(response, chatCompletion(head, await wholeAnswer(made), usage));
}

function holdsPicture({ messages }: ChatRequest): boolean {
  return messages.some(({ content }) => typeof content !== "string" && content.some(({ type }) => type !== "text"));
}

interface Made {
  service: ChatService;
  exchange: Exchange;
  request: ChatRequest;
  prepared: Prepared;
  head: AnswerHead;
}

function checkModel({ model }: ChatRequest, served: string): void {
  if (model != null && model !== served) throw noModel(model, served);
}

async function run({ service, exchange, request, prepared }: Made, sink: AnswerSink): Promise<void> {
  const { scheduler, processor, counters } = service;
  const onTokens = (count: number) => {
    exchange.usage.completionTokens += count;
    counters.completionTokens += count;
  };
  const options = { logprobs: request.logprobs === true, sink, onTokens };
  await answer({ scheduler, tokenizer: processor.tokenizer }, prepared, options, exchange.signal);
}

async function wholeAnswer(made: Made): Promise<Choice[]> {
  const choices = made.prepared.rows.map(
    () => ({ text: "", logprobs: [] as TokenLogprob[], finishReason: "stop" }) as Growing,
  );
  await run(made, {
    delta(index, { text, logprobs }) {
      choices[index]!.text += text;
      choices[index]!.logprobs.push(...logprobs);
    },
    finish(index, reason) {
      choices[index]!.finishReason = reason;
    },
  });
  if (made.request.logprobs === true) return choices;
  return choices.map((choice) => ({ ...choice, logprobs: undefined }));
}

type Growing = Choice & { logprobs: TokenLogprob[] };

async function streamAnswer(made: Made): Promise<void> {
  const { service, exchange, request, prepared, head } = made;
  const { response } = exchange;
  const includeUsage = request.stream_options?.include_usage === true;
  const format = new ChunkFormat(head, { logprobs: request.logprobs === true, includeUsage });
  const events = new EventStream(response, service.stallMilliseconds, exchange.stall);
  // Nothing is sent before the first token: until then a refusal can still have a status of its own.
  const begin = () => {
    if (!response.headersSent) for (const index of prepared.rows.keys()) events.send(format.begin(index));
  };
  await run(made, {
    delta(index, delta) {
      begin();
      events.send(format.delta(index, delta));
    },
    finish(index, reason) {
      begin();
      events.send(format.finish(index, reason));
    },
  });
  if (includeUsage) events.send(format.usage(exchange.usage));
  events.end();
}
