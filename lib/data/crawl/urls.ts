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

/** The candidate of a srcset with the largest width or density; the first one of equals. Reads as HTML has it. */
export function largestCandidate(srcset: string): string | undefined {
  let best: string | undefined;
  let bestSize = -1;
  for (const [url, descriptor] of candidatesOf(srcset)) {
    const size = Number.parseFloat(descriptor || "1");
    if (size > bestSize) [best, bestSize] = [url, size];
  }
  return best;
}

/** Addresses with their descriptors. An address may hold commas; one at its end says that no descriptor follows. */
function candidatesOf(srcset: string): [string, string][] {
  const candidates: [string, string][] = [];
  for (let at = 0; ; ) {
    at = indexWhere(srcset, /[^\s,]/g, at);
    if (at === srcset.length) return candidates;
    const end = indexWhere(srcset, /\s/g, at);
    const word = srcset.slice(at, end);
    const url = withoutCommas(word);
    const next = url === word ? indexWhere(srcset, /,/g, end) : end;
    candidates.push([url, srcset.slice(end, next).trim()]);
    at = next;
  }
}

function withoutCommas(word: string): string {
  let end = word.length;
  while (word[end - 1] === ",") end -= 1;
  return word.slice(0, end);
}

/** Where the expression first matches from `start` on; the end where it does not. */
function indexWhere(text: string, expression: RegExp, start: number): number {
  expression.lastIndex = start;
  return expression.exec(text)?.index ?? text.length;
}
