import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ApiError } from "../../../lib/serve/api-error.js";
import { parseChatRequest } from "../../../lib/serve/chat-request.js";

const HELLO = [{ role: "user", content: "Hello" }];
const PICTURE = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };

function refusal(body: unknown) {
  try {
    parseChatRequest(body, { maxMessages: 1000 });
  } catch (error) {
    if (error instanceof ApiError) return { status: error.status, ...error.toJSON().error };
    throw error;
  }
  return undefined;
}

describe("a request for a chat completion", () => {
  test.each<[string, object]>([
    ["the least", {}],
    ["nothing said", { temperature: null, stop: null, tools: null, n: null, stream_options: null, seed: null }],
    [
      "all that is supported",
      { max_completion_tokens: 5, temperature: 0.7, top_p: 0.9, n: 2, seed: 3, stop: ["a", "b"] },
    ],
    ["vLLM's own", { top_k: -1, min_p: 0.1, repetition_penalty: 1.1 }],
    ["streaming", { stream: true, stream_options: { include_usage: true, include_obfuscation: false } }],
    [
      "what asks for nothing",
      { tools: [], logit_bias: {}, presence_penalty: 0, frequency_penalty: 0, top_logprobs: 0 },
    ],
    [
      "the defaults, said",
      { response_format: { type: "text" }, tool_choice: "none", modalities: ["text"], store: false },
    ],
    ["what has no influence", { user: "u", metadata: { a: "b" }, service_tier: "auto", parallel_tool_calls: true }],
  ])("may have %s", (_, fields) => {
    expect(refusal({ messages: HELLO, model: "m", ...fields })).toBeUndefined();
  });

  test.each<[string, unknown[]]>([
    ["texts", [{ role: "system", content: "s" }, ...HELLO, { role: "assistant", content: "a" }, ...HELLO]],
    ["parts", [{ role: "user", content: [{ type: "text", text: "what?" }, PICTURE, PICTURE], name: "me" }]],
    ["a developer's", [{ role: "developer", content: [{ type: "text", text: "s" }] }, ...HELLO]],
    [
      "an answer as clients send it back",
      [{ role: "assistant", content: "a", refusal: null, tool_calls: null, annotations: [], audio: null }],
    ],
  ])("may have messages of %s", (_, messages) => {
    expect(refusal({ messages })).toBeUndefined();
  });

  test.each<[unknown, string | null, string, string]>([
    [[], null, "invalid_value", "the body: expected a value of type object"],
    ["{}", null, "invalid_value", "the body"],
    [{}, "messages", "missing_required_parameter", "messages: must be given"],
    [{ messages: [] }, "messages", "invalid_value", "expected at least 1 items"],
    [{ messages: HELLO, temperature: "hot" }, "temperature", "invalid_value", 'a value of type number, got "hot"'],
    [{ messages: HELLO, temperature: 3 }, "temperature", "invalid_value", "expected at most 2, got 3"],
    [{ messages: HELLO, temperature: 1e-5 }, "temperature", "invalid_value", "expected 0 (greedy) or at least 0.0001"],
    [{ messages: HELLO, top_k: 2 ** 40 }, "top_k", "invalid_value", "expected at most 2147483647"],
    [{ messages: HELLO, top_p: 0 }, "top_p", "invalid_value", "expected more than 0, got 0"],
    [{ messages: HELLO, n: 1.5 }, "n", "invalid_value", "expected a whole number, got 1.5"],
    [{ messages: HELLO, max_tokens: 0 }, "max_tokens", "invalid_value", "expected at least 1, got 0"],
    [{ messages: HELLO, seed: -1 }, "seed", "invalid_value", "expected at least 0"],
    [{ messages: HELLO, stop: ["a", "b", "c", "d", "e"] }, "stop", "invalid_value", "up to four"],
    [{ messages: HELLO, stop: "" }, "stop", "invalid_value", "at least 1 characters"],
    [{ messages: HELLO, max_token: 4 }, "max_token", "unknown_parameter", "did you mean max_tokens?"],
    [{ messages: HELLO, top_logprobs: 3 }, "top_logprobs", "unsupported_parameter", "only the chosen token's"],
    [{ messages: HELLO, presence_penalty: 0.5 }, "presence_penalty", "unsupported_parameter", "repetition_penalty"],
    [{ messages: HELLO, tools: [{ type: "function" }] }, "tools", "unsupported_parameter", "not supported"],
    [{ messages: HELLO, response_format: { type: "json_object" } }, "response_format", "unsupported_parameter", "text"],
    [{ messages: HELLO, logit_bias: { 5: 1 } }, "logit_bias", "unsupported_parameter", "not supported"],
    [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].role", "invalid_value", "expected system, user or"],
    [{ messages: [{ role: "user" }] }, "messages[0].content", "missing_required_parameter", "must be given"],
    [{ messages: [{ role: "user", content: 5 }] }, "messages[0].content", "invalid_value", "a text or a list of parts"],
    [
      { messages: [{ role: "user", content: [{ type: "text", text: "a" }, { type: "input_audio" }] }] },
      "messages[0].content[1].type",
      "invalid_value",
      "expected one of the type text or image_url",
    ],
    [
      { messages: [...HELLO, { role: "user", content: [{ type: "image_url", image_url: "x.png" }] }] },
      "messages[1].content[0].image_url",
      "invalid_value",
      "expected a value of type object",
    ],
    [
      { messages: [{ role: "system", content: [PICTURE] }] },
      "messages[0].content[0].type",
      "invalid_value",
      "type text",
    ],
    [
      { messages: [{ role: "assistant", content: "a", tool_calls: [{ id: "1" }] }] },
      "messages[0].tool_calls",
      "unsupported_parameter",
      "tools are not supported",
    ],
    [{ messages: [{ role: "user", content: "a", colour: 1 }] }, "messages[0].colour", "unknown_parameter", "unknown"],
  ])("is refused: %j", (body, param, code, message) => {
    expect(refusal(body)).toMatchObject({ status: 400, type: "invalid_request_error", param, code });
    expect(refusal(body)?.message).toContain(message);
  });

  const deep = () => JSON.parse("[".repeat(200_000) + "]".repeat(200_000));
  const LONG = "k".repeat(2_000_000);
  test.each<[string, object]>([
    ["a name as long as a body may be", { messages: HELLO, [LONG]: 1 }],
    ["such a name in a message", { messages: [{ role: "user", content: "a", [LONG]: 1 }] }],
    ["a long text", { messages: HELLO, temperature: LONG }],
    ["much of everything", { messages: HELLO, stop: Array.from({ length: 200_000 }, () => ({ [LONG]: LONG })) }],
    ["a deep value", { messages: deep() }],
    ["a deep value of what is not supported", { messages: HELLO, response_format: deep() }],
    ["a deep value beside its like", { messages: HELLO, modalities: [deep()] }],
    ["more messages than are looked at", { messages: Array.from({ length: 200_000 }, () => ({ role: "x" })) }],
  ])("is refused in few words, and without looking through it: %s", (_, body) => {
    const started = process.cpuUsage();
    expect(refusal(body)).toMatchObject({ status: 400 });
    expect(JSON.stringify(refusal(body)).length).toBeLessThan(600);
    // The comparison with all known names, and the repeated texts of a million messages, took many seconds.
    expect(process.cpuUsage(started).user).toBeLessThan(2e6);
  });

  test("is taken or refused, whatever it is", () => {
    const keys = fc.constantFrom(
      "messages",
      "model",
      "n",
      "stop",
      "role",
      "content",
      "type",
      "text",
      "image_url",
      "tools",
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom("user", "assistant", "text", "image_url", "", "x"),
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(keys, tie("any"), { maxKeys: 4 }),
      ),
    })).any;
    fc.assert(
      fc.property(value, value, (body, messages) => {
        for (const given of [body, { messages }, { messages: [{ role: "user", content: messages }] }]) {
          expect([undefined, 400]).toContain(refusal(given)?.status);
        }
      }),
      { numRuns: 300 },
    );
  });
});
