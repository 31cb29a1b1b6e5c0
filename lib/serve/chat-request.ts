import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { nearestName, toSnake } from "../config/names.js";
import { type ApiError, badRequest } from "./api-error.js";
import { excerpt, shown } from "./shown.js";

/** What OpenAI has and this server has not: refused where it asks for something, taken where it asks for nothing. */
const absent = (what: string, isNothing: (value: unknown) => boolean) =>
  z
    .unknown()
    .refine((value) => value == null || isNothing(value), { message: what, params: { unsupported: true } })
    .optional();
const isEmpty = (value: unknown) =>
  typeof value === "object" && value !== null && (Array.isArray(value) ? value : Object.keys(value)).length === 0;
const is = (expected: unknown) => (value: unknown) => isDeepStrictEqual(value, expected);
/** Has no influence on an answer here: taken and passed over. */
const passedOver = z.unknown().optional();

const TextPart = z.object({ type: z.literal("text"), text: z.string() });
const ImagePart = z.object({
  type: z.literal("image_url"),
  image_url: z.object({ url: z.string().min(1), detail: z.enum(["auto", "low", "high"]).nullish() }),
});
const parts = <P extends z.core.$ZodTypeDiscriminable>(...kinds: [P, ...P[]]) =>
  z.union(
    [z.string(), z.array(z.discriminatedUnion("type", kinds, partTypes(kinds))).min(1)],
    "expected a text or a list of parts",
  );

function partTypes(kinds: readonly unknown[]): string {
  const names = kinds.length === 1 ? "text" : "text or image_url";
  return `unsupported part: expected one of the type ${names}`;
}

const name = z.string().nullish();
const Messages = z.discriminatedUnion(
  "role",
  [
    z.strictObject({ role: z.enum(["system", "developer"]), content: parts(TextPart), name }),
    z.strictObject({
      role: z.literal("user"),
      content: parts<typeof TextPart | typeof ImagePart>(TextPart, ImagePart),
      name,
    }),
    z.strictObject({
      role: z.literal("assistant"),
      content: parts(TextPart),
      name,
      // What answers of this server and of others hold, and clients send back as it is.
      refusal: absent("refusals are not supported", () => false),
      tool_calls: absent("tools are not supported", isEmpty),
      function_call: absent("tools are not supported", () => false),
      audio: absent("audio is not supported", () => false),
      annotations: passedOver,
    }),
  ],
  "expected system, user or assistant; tools are not supported",
);

const stopString = z
  .string()
  .min(1)
  .max(256)
  .refine((text) => !/\p{Surrogate}/u.test(text), "expected whole characters");

/** The engine's own bounds, said by the names that clients know. */
const LEAST_TEMPERATURE = 1e-4;
const MOST_TOP_K = 2 ** 31 - 1;

const Schema = z.strictObject({
  messages: z.array(Messages).min(1),
  model: z.string().nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  temperature: z
    .number()
    .min(0)
    .max(2)
    .refine(
      (value) => value === 0 || value >= LEAST_TEMPERATURE,
      `expected 0 (greedy) or at least ${LEAST_TEMPERATURE}`,
    )
    .nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).max(MOST_TOP_K).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).nullish(),
  n: z.int().min(1).nullish(),
  seed: z.int().min(0).nullish(),
  stop: z
    .union([stopString, z.array(stopString).max(4)], "expected a text or up to four, of 1 to 256 characters")
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: passedOver }).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: absent("only the chosen token's log-probability is known: leave it out, or 0", is(0)),
  presence_penalty: absent("not supported: leave it out, or 0; there is repetition_penalty", is(0)),
  frequency_penalty: absent("not supported: leave it out, or 0; there is repetition_penalty", is(0)),
  logit_bias: absent("not supported", isEmpty),
  response_format: absent('not supported: leave it out, or {"type": "text"}', is({ type: "text" })),
  tools: absent("tools are not supported", isEmpty),
  tool_choice: absent("tools are not supported", (value) => value === "none" || value === "auto"),
  functions: absent("tools are not supported", isEmpty),
  function_call: absent("tools are not supported", is("none")),
  modalities: absent('not supported: leave it out, or ["text"]', is(["text"])),
  audio: absent("not supported", () => false),
  prediction: absent("not supported", () => false),
  web_search_options: absent("not supported", () => false),
  reasoning_effort: absent("not supported", is("none")),
  verbosity: absent("not supported", is("medium")),
  store: absent("answers are not stored: leave it out, or false", is(false)),
  parallel_tool_calls: passedOver,
  metadata: passedOver,
  user: passedOver,
  service_tier: passedOver,
  safety_identifier: passedOver,
  prompt_cache_key: passedOver,
  prompt_cache_retention: passedOver,
});

export type ChatRequest = z.output<typeof Schema>;
export type ChatMessage = ChatRequest["messages"][number];

/** Checks the body of a request for a chat completion; throws an `ApiError` with the first field that is wrong. */
export function parseChatRequest(body: unknown, { maxMessages }: { maxMessages: number }): ChatRequest {
  checkMessages(body, maxMessages);
  const result = Schema.safeParse(body, { reportInput: true });
  if (result.success) return result.data;
  // Unknown fields last: where another one is wrong too, they may follow from it.
  const issues = [...result.error.issues].sort((a, b) => Number(isUnknown(a)) - Number(isUnknown(b)));
  throw describe(deepest(issues[0]!));
}

/** By their number first: a million messages, each of them wrong, would hold up everybody while they are looked at. */
function checkMessages(body: unknown, most: number): void {
  const messages = (body as { messages?: unknown } | null)?.messages;
  if (!Array.isArray(messages) || messages.length <= most) return;
  throw badRequest(`messages: ${messages.length} messages, at most ${most} are taken`, "messages");
}

type Issue = z.core.$ZodIssue;

const isUnknown = ({ code }: Issue) => code === "unrecognized_keys";

/** Of the alternatives of a union, what is wrong in the one that was meant: the one that got furthest. */
function deepest(issue: Issue): Issue {
  if (issue.code !== "invalid_union") return issue;
  const inner = issue.errors.flat().filter(({ path }) => path.length > 0);
  const [found] = inner.sort((a, b) => b.path.length - a.path.length);
  return found === undefined ? issue : deepest({ ...found, path: [...issue.path, ...found.path] } as Issue);
}

/** `messages[0].content[1].image_url`. */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
    .join("")
    .replace(/^\./, "");
}

function describe(issue: Issue): ApiError {
  if (issue.code === "unrecognized_keys") return unknownField(issue);
  const param = fieldPath(issue.path) || undefined;
  const label = param ?? "the body";
  if (issue.code === "custom" && issue.params?.unsupported === true) {
    return badRequest(`${label}: ${issue.message}`, param, "unsupported_parameter");
  }
  if (issue.input === undefined) return badRequest(`${label}: must be given`, param, "missing_required_parameter");
  return badRequest(`${label}: ${expectation(issue)}, got ${shown(issue.input)}`, param);
}

/** What is longer than this is no slip of the hand in a field's name, and takes long to compare with them. */
const LONGEST_TYPO = 50;

function unknownField({ path, keys }: Extract<Issue, { code: "unrecognized_keys" }>): ApiError {
  const [key = ""] = keys;
  const param = fieldPath([...path, excerpt(key)]);
  const isTypo = path.length === 0 && key.length <= LONGEST_TYPO;
  const near = isTypo ? nearestName(toSnake(key), Object.keys(Schema.shape)) : undefined;
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return badRequest(`${param}: unknown field${hint}`, param, "unknown_parameter");
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `expected ${issue.expected === "int" ? "a whole number" : `a value of type ${issue.expected}`}`;
    case "too_small":
      return `expected ${issue.inclusive === true ? "at least" : "more than"} ${amount(issue.minimum, issue.origin)}`;
    case "too_big":
      return `expected at most ${amount(issue.maximum, issue.origin)}`;
    case "invalid_value":
      return `expected ${issue.values.map((value) => JSON.stringify(value)).join(" or ")}`;
    default:
      return issue.message;
  }
}

function amount(limit: number | bigint, origin: string): string {
  if (origin === "string") return `${limit} characters`;
  return origin === "array" ? `${limit} items` : String(limit);
}
