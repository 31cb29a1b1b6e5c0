import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
}

export function goldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(goldenPath(name), "utf8")) as T;
}

interface TensorEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Tensors of a safetensors file, for comparisons; the package itself reads them natively. */
export function readTensors(
  path: string,
): Map<string, { shape: number[]; data: Float32Array | Uint8Array | Int32Array }> {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString("utf8")) as Record<string, TensorEntry>;
  const out = new Map<string, { shape: number[]; data: Float32Array | Uint8Array | Int32Array }>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const start = 8 + headerLength + offsets[0];
    const copy = Uint8Array.prototype.slice.call(bytes, start, 8 + headerLength + offsets[1]);
    out.set(name, { shape, data: typed(dtype, copy) });
  }
  return out;
}

function typed(dtype: string, bytes: Uint8Array): Float32Array | Uint8Array | Int32Array {
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  if (dtype === "I32") return new Int32Array(bytes.buffer);
  if (dtype === "U8") return bytes;
  throw new Error(`a golden file holds the type ${dtype}`);
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  // A NaN stays one, and fails every bound.
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs((a[i] as number) - (b[i] as number)));
  return worst;
}
