import { readFileSync } from "node:fs";

export interface ReadEvent {
  wallTime: number;
  step: number;
  version?: string;
  /** A session's status; 1: it starts. */
  session?: number;
  scalars: [string, number][];
  texts: [string, string][];
}

/** Reads an event file as the format's description has it, with nothing of what writes it. A torn end is left out. */
export function readEvents(path: string): ReadEvent[] {
  return splitRecords(readFileSync(path)).map(readEvent);
}

/** The data of whole records; throws where a checksum is wrong. */
export function splitRecords(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 12 <= file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    if (at + 16 + length > file.length) break;
    const data = file.subarray(at + 12, at + 12 + length);
    if (file.readUInt32LE(at + 8) !== masked(file.subarray(at, at + 8))) throw new Error(`length at ${at}`);
    if (file.readUInt32LE(at + 12 + length) !== masked(data)) throw new Error(`data at ${at}`);
    found.push(data);
    at += 16 + length;
  }
  return found;
}

function masked(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Castagnoli, bit by bit. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

type Field = [number: number, value: bigint | Buffer];

/** Fields of a message; groups do not occur. */
function fieldsOf(data: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[at++] as number;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number) => {
    at += length;
    return data.subarray(at - length, at);
  };
  while (at < data.length) {
    const key = Number(varint());
    const kind = key & 7;
    if (kind === 0) fields.push([key >> 3, varint()]);
    else if (kind === 1) fields.push([key >> 3, take(8)]);
    else if (kind === 2) fields.push([key >> 3, take(Number(varint()))]);
    else if (kind === 5) fields.push([key >> 3, take(4)]);
    else throw new Error(`wire type ${kind}`);
  }
  return fields;
}

function field(data: Buffer, number: number): Buffer | undefined {
  return fieldsOf(data).find(([own]) => own === number)?.[1] as Buffer | undefined;
}

function readEvent(data: Buffer): ReadEvent {
  const event: ReadEvent = { wallTime: Number.NaN, step: 0, scalars: [], texts: [] };
  for (const [number, value] of fieldsOf(data)) {
    if (number === 1) event.wallTime = (value as Buffer).readDoubleLE();
    if (number === 2) event.step = Number(value);
    if (number === 3) event.version = String(value);
    if (number === 5) for (const [, summary] of fieldsOf(value as Buffer)) readValue(summary as Buffer, event);
    if (number === 7) event.session = Number(fieldsOf(value as Buffer)[0]?.[1]);
  }
  return event;
}

function readValue(value: Buffer, event: ReadEvent): void {
  const tag = String(field(value, 1));
  const number = field(value, 2);
  const tensor = field(value, 8);
  if (number !== undefined) event.scalars.push([tag, number.readFloatLE()]);
  if (tensor !== undefined) event.texts.push([tag, String(field(tensor, 8))]);
}
