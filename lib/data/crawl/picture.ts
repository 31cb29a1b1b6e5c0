import type { ImageRules } from "../../config/crawl-schema.js";
import { parseSize } from "../../config/index.js";
import { VlmR1Error } from "../../errors/index.js";
import { decodeImage, imageSize } from "../../processing/image.js";
import { pictureFormat } from "../../processing/picture-format.js";
import { CrawlFailure } from "./failure.js";

/**
 * The ending that fits a picture's bytes. Throws `CrawlFailure` for what a model could not be shown: no picture, one
 * that does not decode to its last row, too small, too large.
 */
export async function checkPicture(bytes: Buffer, url: string, rules: ImageRules): Promise<string> {
  const least = parseSize(rules.minBytes);
  try {
    if (bytes.length >= 1 && bytes.length < least) throw tooSmall(url, `${bytes.length} bytes, at least ${least}`);
    const { width, height } = await imageSize(bytes);
    const size = `${width} × ${height} pixels`;
    if (width * height < rules.minPixels) throw tooSmall(url, `${size}, at least ${rules.minPixels} in all`);
    if (width * height > rules.maxPixels) {
      throw new CrawlFailure("ERR_IMAGE", `${url}: too large: ${size}, at most ${rules.maxPixels} in all`);
    }
    await decodeImage(bytes, { name: url });
  } catch (error) {
    if (!(error instanceof VlmR1Error) || error instanceof CrawlFailure || error.code !== "ERR_IMAGE") throw error;
    const message = error.message.replace(/^the picture/, url);
    throw new CrawlFailure("ERR_IMAGE", message, { hint: error.hint, cause: error });
  }
  const ending = pictureFormat(bytes);
  if (ending === undefined) throw new CrawlFailure("ERR_IMAGE", `${url}: not a picture in a known format`);
  return ending;
}

function tooSmall(url: string, what: string): CrawlFailure {
  return new CrawlFailure("ERR_IMAGE", `${url}: too small: ${what}`, {
    hint: "images.min_bytes and images.min_pixels of the site's description are the limits.",
  });
}
