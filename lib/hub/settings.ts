import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { getHFHubCachePath } from "@huggingface/hub";
import { fromSystem, VlmR1Error } from "../errors/index.js";

/** Where the Hub is and how to speak to it; names and meanings are those of Python's huggingface_hub. */
export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  /** The folder that holds models--org--name. */
  cache: string;
  token: string | undefined;
  offline: boolean;
  /** Milliseconds without a byte after which a connection counts as dead. */
  timeout: number;
  retry: RetryLimits;
}

export interface RetryLimits {
  /** Tries of a question about a repository, the first one included. */
  questions: number;
  /** Tries in a row that bring a file no further. */
  transfers: number;
  /** Milliseconds before the second try; doubled for each one after it. */
  firstWait: number;
  /** Longest wait of our own, and longest that a server may ask for. */
  longestWait: number;
  longestAskedWait: number;
}

export const RETRY_LIMITS: RetryLimits = {
  questions: 3,
  transfers: 6,
  firstWait: 1000,
  longestWait: 30_000,
  longestAskedWait: 300_000,
};

const DEFAULT_ENDPOINT = "https://huggingface.co";
const DEFAULT_TIMEOUT_SECONDS = 30;

type Environment = Readonly<Record<string, string | undefined>>;

/** From HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE and HF_HUB_DOWNLOAD_TIMEOUT. */
export async function readHubSettings(): Promise<HubSettings> {
  const { env } = process;
  return {
    endpoint: endpointOf(env.HF_ENDPOINT),
    cache: expandPath(getHFHubCachePath(), env),
    token: await findToken(env),
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    timeout: timeoutOf(env.HF_HUB_DOWNLOAD_TIMEOUT),
    retry: RETRY_LIMITS,
  };
}

function endpointOf(text: string | undefined): string {
  const endpoint = (text || DEFAULT_ENDPOINT).replace(/\/+$/, "");
  if (URL.canParse(endpoint) && /^https?:/.test(endpoint)) return endpoint;
  throw new VlmR1Error("ERR_CONFIG", `HF_ENDPOINT: expected an address such as ${DEFAULT_ENDPOINT}, got "${text}"`);
}

function timeoutOf(text: string | undefined): number {
  const seconds = text === undefined || text.trim() === "" ? DEFAULT_TIMEOUT_SECONDS : Number(text);
  if (seconds > 0 && Number.isFinite(seconds)) return seconds * 1000;
  throw new VlmR1Error("ERR_CONFIG", `HF_HUB_DOWNLOAD_TIMEOUT: expected a number of seconds, got "${text}"`);
}

function isTrue(text: string | undefined): boolean {
  return text !== undefined && ["1", "ON", "YES", "TRUE"].includes(text.toUpperCase());
}

async function findToken(env: Environment): Promise<string | undefined> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const given = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  if (given !== undefined && given.trim() !== "") return checkToken(given.trim(), "HF_TOKEN");
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  const path = expandPath(env.HF_TOKEN_PATH ?? join(home, "token"), env);
  try {
    const text = (await readFile(path, "utf8")).trim();
    return text === "" ? undefined : checkToken(text, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fromSystem(error, "read the access token in", path);
  }
}

/** A header would refuse it with a message that shows it. */
function checkToken(token: string, where: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new VlmR1Error("ERR_CONFIG", `${where}: an access token is one word of plain letters, digits and signs`);
}

function expandPath(path: string, env: Environment): string {
  const home = path.replace(/^~(?=$|[\\/])/, homedir());
  return home.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced: string, bare: string) => env[braced ?? bare] ?? whole);
}
