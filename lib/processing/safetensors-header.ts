import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { fromSystem, VlmR1Error } from "../errors/index.js";

export interface StoredTensor {
  dtype: string;
  shape: number[];
}

const Header = z.record(
  z.string(),
  z.object({ dtype: z.string(), shape: z.array(z.int().min(0)), data_offsets: z.tuple([z.int(), z.int()]) }),
);

/** The format's own limit; a length beyond it means that the file is something else. */
const MAX_HEADER_BYTES = 100_000_000;

/** Names, types and shapes of a safetensors file's tensors; their data is the engine's affair. */
export async function readSafetensorsHeader(path: string, hint?: string): Promise<Map<string, StoredTensor>> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    return parseHeader(await headerText(file, path), path);
  } catch (error) {
    throw fromSystem(error, "read", path, hint);
  } finally {
    await file?.close();
  }
}

async function headerText(file: FileHandle, path: string): Promise<string> {
  const start = Buffer.alloc(8);
  const { bytesRead } = await file.read(start, 0, 8, 0);
  const length = bytesRead === 8 ? Number(start.readBigUInt64LE()) : Number.NaN;
  const { size } = await file.stat();
  if (!(length <= Math.min(MAX_HEADER_BYTES, size - 8))) {
    throw notSafetensors(
      path,
      bytesRead === 8 ? `a header of ${length} bytes in a file of ${size}` : `it has ${size} bytes`,
    );
  }
  const header = Buffer.alloc(length);
  await file.read(header, 0, length, 8);
  return header.toString("utf8");
}

function parseHeader(text: string, path: string): Map<string, StoredTensor> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notSafetensors(path, (cause as Error).message, cause);
  }
  if (typeof value === "object" && value !== null) Reflect.deleteProperty(value, "__metadata__");
  const result = Header.safeParse(value);
  if (!result.success) throw notSafetensors(path, result.error.issues[0]?.message ?? "", result.error);
  return new Map(Object.entries(result.data).map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
}

function notSafetensors(path: string, reason: string, cause?: unknown): VlmR1Error {
  return new VlmR1Error("ERR_CHECKPOINT", `${path}: not a whole safetensors file: ${reason}`, {
    hint: "Copy or fetch the file again.",
    cause,
  });
}
