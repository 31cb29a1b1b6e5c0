import { VlmR1Error } from "../errors/index.js";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** A number of bytes with an optional unit, as transformers writes sizes: `5GB`, `500MB`, `2GiB`, `1000000`. */
export const SIZE_PATTERN = /^(?=.*[1-9])(\d+(?:\.\d+)?)\s*((?:[KMG]I?B)?)$/i;

/** The bytes of a size that `SIZE_PATTERN` describes. */
export function parseSize(text: string): number {
  const [, number, unit = ""] = SIZE_PATTERN.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toUpperCase()] as number));
  if (bytes >= 1) return bytes;
  throw new VlmR1Error("ERR_CONFIG", `expected a size such as 5GB, 500MB or a number of bytes, got "${text}"`);
}
