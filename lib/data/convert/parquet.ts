import { dirname, resolve } from "node:path";
import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { fromSystem, throwIfAborted, VlmR1Error } from "../../errors/index.js";
import type { Source, SourceItem } from "./source.js";

type Buffered = Awaited<ReturnType<typeof asyncBufferFromFile>>;

/** Names of the numbers of a column, as `datasets` of Hugging Face stores them. */
type ClassNames = ReadonlyMap<string, readonly string[]>;

/** Opens a Parquet file; its rows are read a row group at a time. Throws `ERR_DATA` for what is none. */
export async function openParquet(path: string): Promise<Source> {
  let file: Buffered;
  try {
    file = withHeardErrors(await asyncBufferFromFile(path));
  } catch (error) {
    throw fromSystem(error, "read", path);
  }
  const metadata = await readMetadata(file, path);
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
  const read = (wanted: ReadonlySet<string>, signal?: AbortSignal) =>
    readGroups({ path, file, metadata, columns: usedColumns(metadata, wanted) }, signal);
  return { file: path, format: "parquet", columns, folder: dirname(resolve(path)), notices: [], read };
}

/**
 * The reader decodes columns side by side, and of a damaged file leaves the errors of all but one unheard, which ends the
 * process. What comes of these reads is heard here too; the reader still throws the first one.
 */
function withHeardErrors(file: Buffered): Buffered {
  return { ...file, slice: (start, end) => heard(Promise.resolve(file.slice(start, end))) };
}

function heard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  const then = promise.then.bind(promise);
  // biome-ignore lint/suspicious/noThenProperty: it is a promise's own one, and gives what that gives.
  promise.then = (onValue, onError) => heard(then(onValue, onError));
  return promise;
}

async function readMetadata(file: Buffered, path: string): Promise<FileMetaData> {
  try {
    return await parquetMetadataAsync(file);
  } catch (cause) {
    throw new VlmR1Error("ERR_DATA", `${path}: not a Parquet file that can be read: ${(cause as Error).message}`, {
      hint: "Fetch it again: of a file that was cut the end is missing, which says what is where.",
      cause,
    });
  }
}

/** Bytes, lists and maps that nobody asked for may be large, and no template can use them. */
function usedColumns(metadata: FileMetaData, wanted: ReadonlySet<string>): string[] {
  return parquetSchema(metadata).children.flatMap(({ element, children }) => {
    const { name, type, converted_type, logical_type } = element;
    const isText = converted_type !== undefined || logical_type !== undefined;
    const isPlain = children.length === 0 && (type !== "BYTE_ARRAY" || isText);
    return isPlain || wanted.has(name) ? [name] : [];
  });
}

interface Opened {
  path: string;
  file: Buffered;
  metadata: FileMetaData;
  columns: string[];
}

async function* readGroups(opened: Opened, signal?: AbortSignal): AsyncGenerator<SourceItem> {
  const names = classNames(opened.metadata);
  let start = 0;
  for (const [group, { num_rows }] of opened.metadata.row_groups.entries()) {
    throwIfAborted(signal);
    const end = start + Number(num_rows);
    const rows = await readGroup(opened, group, start, end);
    for (const [index, row] of rows.entries()) {
      yield { record: { place: `row ${start + index + 1}`, fields: withClassNames(row, names) } };
    }
    start = end;
  }
}

async function readGroup(
  { path, file, metadata, columns }: Opened,
  group: number,
  rowStart: number,
  rowEnd: number,
): Promise<Record<string, unknown>[]> {
  try {
    // Only what is marked as text is text: other bytes are pictures.
    return await parquetReadObjects({ file, metadata, columns, rowStart, rowEnd, compressors, utf8: false });
  } catch (cause) {
    const message = (cause as Error).message;
    throw new VlmR1Error("ERR_DATA", `${path}: row group ${group + 1} cannot be read: ${message}`, {
      hint: /compression|codec|encoding|unsupported/i.test(message)
        ? "Write the file again with zstd or snappy compression, for example with pandas' to_parquet."
        : "Fetch the file again; it may be damaged.",
      cause,
    });
  }
}

/** Of the features that `datasets` describes in the file's metadata. */
function classNames(metadata: FileMetaData): ClassNames {
  const text = metadata.key_value_metadata?.find(({ key }) => key === "huggingface")?.value;
  const found = new Map<string, readonly string[]>();
  if (text === undefined) return found;
  let features: unknown;
  try {
    features = (JSON.parse(text) as { info?: { features?: unknown } } | null)?.info?.features;
  } catch {
    return found;
  }
  if (typeof features !== "object" || features === null) return found;
  for (const [column, feature] of Object.entries(features)) {
    const { _type, names } = (feature ?? {}) as { _type?: unknown; names?: unknown };
    if (_type === "ClassLabel" && Array.isArray(names)) found.set(column, names.map(String));
  }
  return found;
}

function withClassNames(row: Record<string, unknown>, names: ClassNames): Record<string, unknown> {
  if (names.size === 0) return row;
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => {
      const own = names.get(column);
      const isNumber = typeof value === "number" || typeof value === "bigint";
      // -1 stands for a label that is kept back.
      return [column, own !== undefined && isNumber ? (own[Number(value)] ?? null) : value];
    }),
  );
}
