import crc32c from "crc-32/crc32c.js";
import { PbfWriter } from "pbf";

/** What TensorBoard reads; the numbers below are those of the fields in tensorflow's event.proto and summary.proto. */
export interface TensorBoardEvent {
  /** Seconds since 1970. */
  wallTime: number;
  step?: number | undefined;
  what:
    | { kind: "version" }
    /** A process takes over: readers drop what others wrote of this step and of later ones. */
    | { kind: "start" }
    | { kind: "scalars"; values: readonly (readonly [tag: string, value: number])[] }
    /** Markdown. */
    | { kind: "text"; tag: string; text: string };
}

const VERSION = "brain.Event:2";
const WRITER = "vlmr1-native";
const SESSION_START = 1;
const DT_STRING = 7;
const DATA_CLASS_TENSOR = 2;

/** The bytes of an `Event` message. */
export function encodeEvent({ wallTime, step = 0, what }: TensorBoardEvent): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeDoubleField(1, wallTime);
  if (step !== 0) pbf.writeVarintField(2, step);
  switch (what.kind) {
    case "version":
      pbf.writeStringField(3, VERSION);
      pbf.writeMessage(10, (writer, inner) => inner.writeStringField(1, writer), WRITER);
      break;
    case "start":
      pbf.writeMessage(7, (status, inner) => inner.writeVarintField(1, status), SESSION_START);
      break;
    case "scalars":
      pbf.writeMessage(5, writeScalars, what.values);
      break;
    case "text":
      pbf.writeMessage(5, writeText, what);
      break;
  }
  return pbf.finish();
}

function writeScalars(values: readonly (readonly [string, number])[], summary: PbfWriter): void {
  for (const value of values) {
    summary.writeMessage(
      1,
      ([tag, number], inner) => {
        inner.writeStringField(1, tag);
        inner.writeFloatField(2, number);
      },
      value,
    );
  }
}

/** As the text plugin wants it: a tensor of one string. */
function writeText({ tag, text }: { tag: string; text: string }, summary: PbfWriter): void {
  summary.writeMessage(
    1,
    (_, value) => {
      value.writeStringField(1, `${tag}/text_summary`);
      value.writeMessage(8, writeStringTensor, text);
      value.writeMessage(9, writeTextMetadata, null);
    },
    null,
  );
}

function writeTextMetadata(_: null, metadata: PbfWriter): void {
  metadata.writeMessage(1, (name, plugin) => plugin.writeStringField(1, name), "text");
  metadata.writeVarintField(4, DATA_CLASS_TENSOR);
}

function writeStringTensor(text: string, tensor: PbfWriter): void {
  tensor.writeVarintField(1, DT_STRING);
  tensor.writeMessage(
    2,
    (size, shape) => shape.writeMessage(2, (length, axis) => axis.writeVarintField(1, length), size),
    1,
  );
  tensor.writeBytesField(8, Buffer.from(text, "utf8"));
}

/** A record of a TFRecord file: length (u64), its checksum, data, its checksum; all little-endian. */
export function frameRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(8 + 4 + data.length + 4);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedChecksum(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedChecksum(data), 12 + data.length);
  return record;
}

/** CRC-32C, rotated and shifted: a checksum of data that itself holds checksums would be weak otherwise. */
export function maskedChecksum(data: Uint8Array): number {
  const crc = crc32c.buf(data) >>> 0;
  const rotated = ((crc >>> 15) | (crc << 17)) >>> 0;
  return (rotated + 0xa282ead8) >>> 0;
}
