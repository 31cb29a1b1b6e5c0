import type { IncomingMessage } from "node:http";
import { ApiError } from "./api-error.js";

/** Bytes over the limit that are still taken, and thrown away, so that a client hears why it was refused. */
const GRACE_BYTES = 64 * 2 ** 20;

/** The JSON of a request's body. Throws an `ApiError`: 413 too large, 415 another type, 400 no JSON. */
export async function readJsonBody(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  checkType(request);
  const bytes = await readBytes(request, maxBytes);
  const text = decodeUtf8(bytes);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const what = text.trim() === "" ? "it is empty" : (cause as Error).message;
    throw new ApiError(400, `the body is not JSON: ${what}`, { code: "invalid_json", cause });
  }
}

function checkType({ headers }: IncomingMessage): void {
  const [type = "", ...parameters] = (headers["content-type"] ?? "").toLowerCase().split(";");
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith("charset="));
  const isUtf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  const encoding = headers["content-encoding"] ?? "identity";
  if (type.trim() === "application/json" && isUtf8 && encoding === "identity") return;
  const got = type === "" ? "none" : (headers["content-type"] as string);
  const message = `expected Content-Type: application/json in UTF-8, not compressed; got ${got}`;
  throw new ApiError(415, encoding === "identity" ? message : `${message}, ${encoding}`, {
    code: "unsupported_media_type",
  });
}

async function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new ApiError(413, `the body is larger than the ${maxBytes} bytes that this server takes`, {
      code: "request_too_large",
      headers: { Connection: "close" },
    });
  if (Number(request.headers["content-length"] ?? 0) > maxBytes + GRACE_BYTES) throw tooLarge();
  let chunks: Buffer[] = [];
  let size = 0;
  // A request that is given up is not destroyed: its socket has to carry the refusal.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
    else chunks = [];
    if (size > maxBytes + GRACE_BYTES) throw tooLarge();
  }
  if (size > maxBytes) throw tooLarge();
  return Buffer.concat(chunks);
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ApiError(400, "the body is not UTF-8", { code: "invalid_json", cause });
  }
}
