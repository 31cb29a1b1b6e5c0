import type { DecodeRequest } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { imageSize } from "../processing/image.js";
import {
  type ContentPart,
  type ImageSource,
  type Message,
  type Processor,
  resolveSampling,
  smartResize,
} from "../processing/index.js";
import { badRequest, toApiError } from "./api-error.js";
import type { ChatMessage, ChatRequest } from "./chat-request.js";
import { type PictureRules, readImageUrl } from "./image-url.js";

/** What a request may be. */
export interface RequestLimits extends PictureRules {
  maxModelLen: number;
  maxNumSeqs: number;
  maxMessages: number;
  maxImages: number;
  maxImagePixels: number;
}

/** A request that can be decoded. */
export interface Prepared {
  /** One per choice. */
  rows: Omit<DecodeRequest, "id">[];
  stops: string[];
  promptTokens: number;
}

/** What names the random numbers of a request without a seed. */
export interface DefaultStream {
  seed: number;
  row: number;
}

interface Addressed {
  url: string;
  /** Where it stands in the request. */
  param: string;
}

/** Reads pictures, renders and measures the prompt, and settles the sampling; throws an `ApiError` for what is wrong. */
export async function prepare(
  request: ChatRequest,
  processor: Processor,
  limits: RequestLimits,
  stream: DefaultStream,
  signal: AbortSignal,
): Promise<Prepared> {
  const { messages, pictures } = readMessages(request.messages);
  checkCounts(request, pictures.length, limits);
  checkText(messages, limits);
  try {
    const sources = await Promise.all(pictures.map(({ url, param }) => readImageUrl(url, param, limits)));
    // Pictures are decoded only when it is known that they fit.
    if (pictures.length > 0) newTokens(request, await measure(messages, sources, pictures, processor, limits), limits);
    const prompt = await processor.prompt(messages, sources, { signal });
    const maxNewTokens = newTokens(request, prompt.tokens.length, limits);
    const sampling = resolveSampling(processor.generation, { ...samplingOf(request), maxNewTokens });
    const { seed, row } = request.seed == null ? stream : { seed: request.seed, row: 0 };
    const rows = Array.from({ length: request.n ?? 1 }, (_, completion) => ({
      prompt,
      sampling,
      seed,
      row,
      completion,
    }));
    return { rows, stops: [request.stop ?? []].flat(), promptTokens: prompt.tokens.length };
  } catch (error) {
    throw signal.aborted ? error : toApiError(error);
  }
}

function readMessages(given: readonly ChatMessage[]): { messages: Message[]; pictures: Addressed[] } {
  const pictures: Addressed[] = [];
  const messages = given.map(({ role, content }, index): Message => {
    const as = role === "developer" ? "system" : role;
    if (typeof content === "string") return { role: as, content };
    const parts = content.map((part, at): ContentPart => {
      if (part.type === "text") return { type: "text", text: part.text };
      pictures.push({ url: part.image_url.url, param: `messages[${index}].content[${at}].image_url.url` });
      return { type: "image" };
    });
    return { role: as, content: parts };
  });
  return { messages, pictures };
}

function checkCounts({ n }: ChatRequest, pictures: number, limits: RequestLimits): void {
  const { maxImages, maxNumSeqs } = limits;
  if (pictures > maxImages) {
    throw badRequest(`messages: ${pictures} pictures, at most ${maxImages} are taken`, "messages");
  }
  if ((n ?? 1) > maxNumSeqs) throw badRequest(`n: expected at most ${maxNumSeqs}, got ${n}`, "n");
}

/** Prose and code have about four; only what repeats itself has more. */
const MOST_CHARACTERS_PER_TOKEN = 16;

/** Tokenizing is the server's own work, for which all others wait: not for texts that are too long anyway. */
function checkText(messages: readonly Message[], { maxModelLen }: RequestLimits): void {
  const lengthOf = (part: ContentPart) => (part.type === "text" ? part.text.length : 0);
  const length = messages.reduce((sum, { content }) => {
    return (
      sum + (typeof content === "string" ? content.length : content.reduce((all, part) => all + lengthOf(part), 0))
    );
  }, 0);
  const most = MOST_CHARACTERS_PER_TOKEN * maxModelLen;
  if (length <= most) return;
  const message = `the messages have ${length} characters; ${most} are taken for the model's ${maxModelLen} tokens`;
  throw badRequest(message, "messages", "context_length_exceeded");
}

/** Tokens of the prompt, known before a picture is decoded. */
async function measure(
  messages: readonly Message[],
  sources: readonly ImageSource[],
  pictures: readonly Addressed[],
  processor: Processor,
  { maxImagePixels }: RequestLimits,
): Promise<number> {
  const paramOf = new Map(sources.map((source, index) => [source, pictures[index]?.param ?? "messages"]));
  const { patchSize, mergeSize, minPixels, maxPixels } = processor.imageSettings;
  const factor = patchSize * mergeSize;
  const tokensOf = async (source: ImageSource) => {
    const param = paramOf.get(source) ?? "messages";
    try {
      const { width, height } = await imageSize(source);
      if (width * height > maxImagePixels) {
        const what = `${param}: the picture has ${width} × ${height} pixels`;
        throw badRequest(`${what}, at most ${maxImagePixels} are taken`, param, "image_too_large");
      }
      const resized = smartResize(width, height, { factor, minPixels, maxPixels });
      return { width, height, tokens: (resized.width / factor) * (resized.height / factor) };
    } catch (error) {
      if (!(error instanceof VlmR1Error)) throw error;
      throw badRequest(`${param}: ${error.message}`, param, "invalid_image");
    }
  };
  const sizes = new Map<ImageSource, number>();
  const { textTokens } = await processor.measure(messages, sources, async (source) => {
    const size = await tokensOf(source);
    sizes.set(source, size.tokens);
    return size;
  });
  return sources.reduce((sum, source) => sum + (sizes.get(source) ?? 0), textTokens);
}

/** The longest completion: as asked for, or what the model's length leaves. */
function newTokens(request: ChatRequest, length: number, { maxModelLen }: RequestLimits): number {
  const asked = request.max_completion_tokens ?? request.max_tokens;
  const room = maxModelLen - length;
  if (room >= (asked ?? 1)) return asked ?? room;
  const field = request.max_completion_tokens == null ? "max_tokens" : "max_completion_tokens";
  const completion = asked == null ? "leave no room for a completion" : `and ${field} ${asked} are more than`;
  const message = `the prompt's ${length} tokens ${completion}${asked == null ? " in" : ""} the ${maxModelLen} tokens of the model`;
  throw badRequest(message, asked == null ? "messages" : field, "context_length_exceeded");
}

function samplingOf(request: ChatRequest) {
  const { temperature, top_p: topP, top_k: topK, min_p: minP, repetition_penalty: repetitionPenalty } = request;
  return {
    temperature: temperature ?? undefined,
    topP: topP ?? undefined,
    // As vLLM has it, -1 is off too.
    topK: topK == null ? undefined : Math.max(0, topK),
    minP: minP ?? undefined,
    repetitionPenalty: repetitionPenalty ?? undefined,
  };
}
