import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { VlmR1Error } from "../errors/index.js";
import { makeBuiltIn, unknownReward } from "./built-in.js";
import { named } from "./named.js";
import { parseRewardSpec } from "./settings.js";
import type { RewardFunction } from "./types.js";

/**
 * A reward by what a user wrote: a built-in name with its settings (`cosine?max_len=256`), `./file.mjs` (its default
 * export, or its only exported function), or `./file.mjs#name` (that export). Paths are relative to `directory`. Throws
 * `ERR_REWARD` where there is none, or its settings do not fit.
 */
export async function loadReward(spec: string, directory = process.cwd()): Promise<RewardFunction> {
  const builtIn = makeBuiltIn(spec, directory);
  if (builtIn !== undefined) return builtIn;
  const { name, settings } = parseRewardSpec(spec);
  const [, file = "", exportName] = /^(.*\.[cm]?[jt]s)(?:#(.+))?$/i.exec(name) ?? [];
  if (file === "") throw unknownReward(spec);
  if (settings.size > 0) {
    throw new VlmR1Error("ERR_REWARD", `the reward "${spec}": a file takes no settings after a question mark`, {
      hint: "Read an environment variable in it, or export one function per setting and name it as ./mine.mjs#name.",
    });
  }
  const path = resolve(directory, file);
  const exported = await importFile(path);
  return exportName === undefined ? mainExport(exported, path) : namedExport(exported, exportName, path);
}

async function importFile(path: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    throw new VlmR1Error("ERR_REWARD", `cannot load the reward file ${path}: ${whyNot(error, path)}`, {
      hint: /ts$/i.test(path)
        ? `Node ${process.versions.node} imports no TypeScript: compile it first, npx tsc --module nodenext ${path}`
        : "It must be a JavaScript module that Node can import, with the reward as its default export.",
      cause: error,
    });
  }
}

/** An import does not say where a syntax error is, and of a missing file that this one asked for it. */
function whyNot(error: unknown, path: string): string {
  if (!existsSync(path)) return "there is no such file";
  if (!(error instanceof Error)) return String(error);
  const line = error instanceof SyntaxError ? lineOfMistake(path) : undefined;
  return `${line === undefined ? "" : `line ${line}: `}${error.name}: ${error.message}`;
}

/** Undefined where the mistake is in a file that this one imports. */
function lineOfMistake(path: string): string | undefined {
  const { stderr } = spawnSync(process.execPath, ["--check", path], { encoding: "utf8" });
  return stderr.startsWith("file:") || stderr.startsWith(path) ? /:(\d+)$/m.exec(stderr)?.[1] : undefined;
}

function mainExport(exported: Record<string, unknown>, path: string): RewardFunction {
  if (typeof exported.default === "function") return withFileName(exported.default as RewardFunction, path);
  const functions = Object.entries(exported).filter(([, value]) => typeof value === "function");
  const [only] = functions;
  if (only === undefined || functions.length > 1) {
    const names = functions.map(([name]) => name).join(", ");
    throw new VlmR1Error(
      "ERR_REWARD",
      `${path} must export a reward function as its default, got ${names === "" ? "no function" : `the functions ${names}`}`,
      { hint: functions.length > 1 ? `Pick one by name: ${path}#${only?.[0]}` : undefined },
    );
  }
  return named(only[0], wrap(only[1] as RewardFunction));
}

function namedExport(exported: Record<string, unknown>, name: string, path: string): RewardFunction {
  const value = exported[name];
  if (typeof value === "function") return named(name, wrap(value as RewardFunction));
  throw new VlmR1Error("ERR_REWARD", `${path} exports no function "${name}"`, {
    hint: `It exports ${Object.keys(exported).join(", ") || "nothing"}.`,
  });
}

/** An anonymous default export is called "default" by the language: the file's name says more. */
function withFileName(reward: RewardFunction, path: string): RewardFunction {
  if (reward.name !== "" && reward.name !== "default") return reward;
  const stem = path.replace(/^.*[\\/]/, "").replace(/\.[^.]+$/, "");
  return named(stem, wrap(reward));
}

/** The module's own function must not be renamed: others may hold it. */
function wrap(reward: RewardFunction): RewardFunction {
  return (completion, row, context) => reward(completion, row, context);
}
