import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { fromSystem, VlmR1Error } from "../../errors/index.js";
import { openCsv } from "./csv.js";
import { openFolders } from "./folders.js";
import { openJson } from "./json.js";
import { openParquet } from "./parquet.js";
import type { Source, SourceFormat } from "./source.js";

export interface OpenSourceOptions {
  format: SourceFormat | "auto";
  encoding?: string | undefined;
  delimiter?: string | undefined;
  signal?: AbortSignal | undefined;
}

type Open = (path: string, options: OpenSourceOptions) => Promise<Source>;

const json: Open = (path, options) =>
  openJson(path, { ...options, format: options.format === "auto" ? undefined : options.format });

/** The one place that tells formats apart. */
const OPEN: Readonly<Record<SourceFormat, Open>> = {
  csv: openCsv,
  llava: json,
  "vlm-r1": json,
  conversations: json,
  parquet: openParquet,
  folders: (path, { signal }) => openFolders(path, signal),
};

const BY_ENDING: Readonly<Record<string, SourceFormat>> = {
  ".csv": "csv",
  ".tsv": "csv",
  ".txt": "csv",
  ".json": "llava",
  ".jsonl": "vlm-r1",
  ".ndjson": "vlm-r1",
  ".parquet": "parquet",
};

/**
 * Opens what a path names: a file by its ending, a folder with Parquet files as these, any other folder as one of
 * classes. Throws `ERR_DATA` where the format cannot be told.
 */
export async function openSources(path: string, options: OpenSourceOptions): Promise<Source[]> {
  if (await isFolder(path)) {
    if (options.format === "folders") return [await OPEN.folders(path, options)];
    const parquet = await parquetFiles(path);
    if (parquet.length > 0) return Promise.all(parquet.map((file) => OPEN.parquet(file, options)));
    if (options.format === "auto") return [await OPEN.folders(path, options)];
    throw new VlmR1Error("ERR_DATA", `${path}: it is a folder, and --format ${options.format} reads a file`);
  }
  const format = options.format === "auto" ? BY_ENDING[extname(path).toLowerCase()] : options.format;
  if (format !== undefined) return [await OPEN[format](path, options)];
  throw new VlmR1Error("ERR_DATA", `${path}: the ending does not say what it is`, {
    hint: `Say --format csv, llava, vlm-r1 or parquet; known endings are ${Object.keys(BY_ENDING).join(", ")}.`,
  });
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw fromSystem(error, "read", path);
  }
}

async function parquetFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => name.endsWith(".parquet"))
    .sort()
    .map((name) => join(folder, name));
}
