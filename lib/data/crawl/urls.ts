/** The absolute web address of what a page writes, or undefined where it is none: data:, javascript:, #, nonsense. */
export function resolveUrl(text: string, base: string): string | undefined {
  // Browsers drop line ends and tabs in addresses.
  const trimmed = text.replace(/[\t\n\r]/g, "").trim();
  if (trimmed === "" || trimmed.startsWith("#") || !URL.canParse(trimmed, base)) return undefined;
  const url = new URL(trimmed, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  url.hash = "";
  return url.href;
}

/** The candidate of a srcset with the largest width or density; the first one of equals. */
export function largestCandidate(srcset: string): string | undefined {
  let best: string | undefined;
  let bestSize = -1;
  for (const [, url, size] of srcset.matchAll(CANDIDATE)) {
    const value = size === undefined ? 1 : Number.parseFloat(size);
    if (url !== undefined && value > bestSize) [best, bestSize] = [url, value];
  }
  return best;
}

/** An address may hold commas, but neither begins nor ends with one; a descriptor is a number with w, x or h. */
const CANDIDATE = /[\s,]*([^\s,](?:\S*[^\s,])?)(?:\s+([\d.]+)[wxh](?:\s+[\d.]+h)?)?\s*(?:,|$)/g;
