import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Row } from "../../data/datasets/index.js";
import { fromSystem, VlmR1Error } from "../../errors/index.js";
import { expectedAnswer, studentAnswer } from "../answer.js";
import { named } from "../named.js";
import { readSettings } from "../settings.js";
import type { RewardContext, RewardFunction } from "../types.js";
import { ChatClient } from "./client.js";
import { parseScore } from "./parse-score.js";
import { ScoreCache } from "./score-cache.js";

const OPENAI = "https://api.openai.com/v1";

const PROMPT = `You grade answers. Compare the answer with the reference solution.

Question: {question}
Reference solution: {solution}
Answer to grade: {answer}

Reply with JSON only: {"score": S}, where S is a number from 0 (wrong) to {max} (right in all that the reference says).`;

export const JudgeSettings = z.object({
  model: z.string().min(1).describe("the judge's name, as its server knows it"),
  baseUrl: z.string().default(OPENAI).describe("of an OpenAI-compatible server, up to /chat/completions"),
  apiKeyEnv: z.string().default("OPENAI_API_KEY").describe("environment variable that holds the key"),
  prompt: z.string().min(1).optional().describe("with {question}, {answer}, {solution}, {completion} and {max}"),
  promptFile: z.string().optional().describe("file with the prompt"),
  max: z.number().gt(0).default(1).describe("the best score; the reward is score / max"),
  image: z.boolean().default(false).describe("send the row's pictures"),
  maxTokens: z.int().min(1).optional().describe("most tokens of a reply (default: the server's)"),
  retries: z.int().min(0).default(3).describe("repetitions after 429, 5xx and cut connections"),
  firstPause: z.number().min(0).default(1).describe("seconds before the first repetition; they double"),
});
export type JudgeOptions = z.input<typeof JudgeSettings>;

/**
 * Asks another model how good an answer is, from 0 to 1, over an OpenAI-compatible server at temperature 0. What was
 * asked before is not asked again. A reply without a score from 0 to `max` throws, which counts as "not applicable".
 * Throws `ERR_REWARD` at once where the key is missing that OpenAI wants.
 */
export function judge(options: JudgeOptions): RewardFunction {
  const settings = readSettings("judge", JudgeSettings, options);
  const template = promptOf(settings);
  const { baseUrl, retries, firstPause, max } = settings;
  const client = new ChatClient({ baseUrl, apiKey: keyOf(settings), retries, firstPause: firstPause * 1000 });
  const cache = new ScoreCache();
  return named("judge", async (completion, row, context) => {
    const prompt = fill(template, completion, row, context, max);
    const pictures = settings.image ? await Promise.all(row.images.map(dataUrl)) : [];
    const body = requestBody(settings, prompt, pictures);
    return cache.get(body, async () => {
      const reply = await client.ask(body, context.signal);
      const score = parseScore(reply, max);
      if (score === undefined) {
        const shown = JSON.stringify(reply.length > 200 ? `${reply.slice(0, 200)}…` : reply);
        throw new VlmR1Error("ERR_REWARD", `judge: expected a score from 0 to ${max}, got ${shown}`);
      }
      return score / max;
    });
  });
}

type Settings = z.output<typeof JudgeSettings>;

function keyOf({ baseUrl, apiKeyEnv }: Settings): string | undefined {
  if (!/^https?:\/\/[^/]/.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw new VlmR1Error("ERR_REWARD", `judge: expected base_url to be http://… or https://…, got "${baseUrl}"`);
  }
  const key = process.env[apiKeyEnv];
  if (key !== undefined && key !== "") return key;
  if (baseUrl !== OPENAI) return undefined;
  throw new VlmR1Error(
    "ERR_REWARD",
    `judge: the environment variable ${apiKeyEnv} with the key for ${OPENAI} is not set`,
    {
      hint: "Set it, name another with api_key_env, or name your own server with base_url.",
    },
  );
}

function promptOf({ prompt, promptFile }: Settings): string {
  if (prompt !== undefined && promptFile !== undefined) {
    throw new VlmR1Error("ERR_REWARD", "judge: give prompt or prompt_file, not both");
  }
  const template = promptFile === undefined ? (prompt ?? PROMPT) : readPrompt(promptFile);
  if (/\{(?:answer|completion)\}/.test(template)) return template;
  throw new VlmR1Error(
    "ERR_REWARD",
    "judge: expected the prompt to hold {answer} or {completion}, so that it judges it",
  );
}

function readPrompt(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw fromSystem(error, "read the judge's prompt", path);
  }
}

/** In one pass, so that braces in an answer stay what they are. */
function fill(template: string, completion: string, row: Row, { question }: RewardContext, max: number): string {
  const values: Record<string, string> = {
    question,
    answer: studentAnswer(completion),
    solution: expectedAnswer(row.solution),
    completion,
    max: String(max),
  };
  return template.replace(
    /\{(question|answer|solution|completion|max)\}/g,
    (_, name: string) => values[name] as string,
  );
}

function requestBody({ model, maxTokens }: Settings, prompt: string, pictures: readonly string[]): string {
  const parts = [...pictures.map((url) => ({ type: "image_url", image_url: { url } })), { type: "text", text: prompt }];
  const content = pictures.length === 0 ? prompt : parts;
  return JSON.stringify({ model, messages: [{ role: "user", content }], temperature: 0, max_tokens: maxTokens });
}

/** The file as it is: servers resize pictures themselves. */
async function dataUrl(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw fromSystem(error, "read the picture", path);
  }
  return `data:${mediaType(bytes, path)};base64,${bytes.toString("base64")}`;
}

function mediaType(bytes: Buffer, path: string): string {
  const start = bytes.subarray(0, 12).toString("latin1");
  if (start.startsWith("\x89PNG")) return "image/png";
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (start.startsWith("GIF8")) return "image/gif";
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return "image/webp";
  throw new VlmR1Error("ERR_REWARD", `judge: ${path}: chat servers take PNG, JPEG, GIF and WebP pictures`);
}
