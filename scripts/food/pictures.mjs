import sharp from "sharp";

export const PICTURE_SIZE = 112;
/** Some studios draw up to the edge of the canvas; the margin keeps them apart from it. */
const MARGIN = 4;
const COLOURS = 64;
/** SVGs are drawn this much larger and then reduced, which gives cleaner edges. */
const OVERSAMPLING = 4;

/**
 * Draws SVG or raster bytes into a white square and packs it as a palette PNG.
 * @param {Buffer} source
 * @returns {Promise<Buffer>}
 */
export async function toPicture(source) {
  const box = PICTURE_SIZE - 2 * MARGIN;
  const white = { r: 255, g: 255, b: 255, alpha: 1 };
  const { format, width } = await sharp(source).metadata();
  // 72 dpi draws an SVG at its own size.
  const density = format === "svg" ? (72 * box * OVERSAMPLING) / width : undefined;
  return (
    sharp(source, { density })
      // Flattened first: otherwise the bars beside art that is not square come out dark.
      .flatten({ background: white })
      .resize(box, box, { fit: "contain", background: white, kernel: "lanczos3" })
      .extend({ top: MARGIN, bottom: MARGIN, left: MARGIN, right: MARGIN, background: white })
      .png({ palette: true, colours: COLOURS, dither: 0.5, effort: 10, compressionLevel: 9 })
      .toBuffer()
  );
}
