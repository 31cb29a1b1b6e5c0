/** A format that is decoded, by the ending of its files' names. */
export type PictureFormat = "jpg" | "png" | "gif" | "webp" | "tiff" | "avif";

const BEGINNINGS: readonly (readonly [PictureFormat, RegExp])[] = [
  ["jpg", /^\xff\xd8\xff/],
  ["png", /^\x89PNG/],
  ["gif", /^GIF8/],
  ["webp", /^RIFF....WEBP/s],
  ["tiff", /^(II\*\0|MM\0\*)/],
  // The first brand may be a general one, such as mif1.
  ["avif", /^....ftyp(....)*?avi[fs]/s],
];
/** Bytes that tell a format. */
const LONGEST_BEGINNING = 64;

/** What a picture's first bytes say that it is, whatever its name, address or Content-Type says; undefined: none of these. */
export function pictureFormat(bytes: Uint8Array): PictureFormat | undefined {
  const start = Buffer.from(bytes.subarray(0, LONGEST_BEGINNING)).toString("latin1");
  return BEGINNINGS.find(([, beginning]) => beginning.test(start))?.[0];
}
