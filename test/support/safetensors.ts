import { readFileSync, writeFileSync } from "node:fs";

/** A tensor as a file holds it. */
export interface StoredTensor {
  dtype: string;
  shape: readonly number[];
  bytes: Uint8Array;
}

export type StoredTensors = Map<string, StoredTensor>;

/** Tensors of a safetensors file, their bytes as they are. */
export function readStored(path: string): StoredTensors {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, bytes: Uint8Array.prototype.slice.call(file, start + from, start + to) }],
    ),
  );
}

export function writeStored(path: string, tensors: StoredTensors): void {
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...[...tensors.values()].map(({ bytes }) => bytes)]));
}

export function floats({ bytes }: StoredTensor): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}

/** Multiples of 1/64 below 2: f32, f16 and bf16 all hold them exactly. */
export function coarse(tensor: StoredTensor): StoredTensor {
  const values = floats(tensor).map((x) => Math.max(-127, Math.min(127, Math.round(x * 64))) / 64);
  return { ...tensor, bytes: new Uint8Array(values.buffer) };
}

/** The same numbers in 16 bits; they must be such as `coarse` makes. */
export function narrowed(tensor: StoredTensor, dtype: "F16" | "BF16"): StoredTensor {
  const bits = new Uint32Array(tensor.bytes.slice().buffer);
  const convert = dtype === "BF16" ? (x: number) => x >>> 16 : toF16;
  return { ...tensor, dtype, bytes: new Uint8Array(Uint16Array.from(bits, convert).buffer) };
}

/** Sign, exponent with its other bias, the upper ten bits of the fraction; zeros stay zeros. */
function toF16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  return exponent === 0 ? sign : sign | ((exponent - 112) << 10) | ((bits >>> 13) & 0x3ff);
}
