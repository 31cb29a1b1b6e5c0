import { stat } from "node:fs/promises";
import { fromSystem, usageError, VlmR1Error } from "../errors/index.js";
import type { Wanted } from "./files.js";
import { parseHubName } from "./names.js";
import type { FetchOptions } from "./snapshot.js";

export interface ResolveModelOptions extends FetchOptions {
  /** Branch, tag or commit of a name on the Hub; main unless given. */
  revision?: string | undefined;
  /** What the folder must hold; "tokenizer" leaves the weights out. */
  wanted?: Wanted;
}

/**
 * The local folder of a model: the one that is named, if it exists; else "org/name" or "org/name@revision" in the cache
 * that all Hugging Face libraries share, fetched there first where something is missing.
 */
export async function resolveModel(nameOrPath: string, options: ResolveModelOptions = {}): Promise<string> {
  const { revision, wanted = "model", ...fetchOptions } = options;
  if (await isFolder(nameOrPath)) {
    if (revision === undefined) return nameOrPath;
    throw usageError(
      `revision "${revision}" was given for the folder ${nameOrPath}`,
      "Only names on the Hub have revisions.",
    );
  }
  const name = parseHubName(nameOrPath, revision);
  // Most runs name a folder and need none of it.
  const { fetchSnapshot } = await import("./snapshot.js");
  const { readHubSettings } = await import("./settings.js");
  return fetchSnapshot(name, wanted, await readHubSettings(), fetchOptions);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw fromSystem(error, "read the model", path);
  }
  throw new VlmR1Error("ERR_NOT_FOUND", `"${path}" is a file; expected a folder`, {
    hint: "Name the folder that holds config.json, tokenizer.json and the weights.",
  });
}
