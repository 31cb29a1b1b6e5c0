import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { VlmR1Error } from "../errors/index.js";
import type { PageData } from "./page-data.js";

/** Where the build leaves the page's own code; the path is the same from lib/page and from dist/page. */
const BUILT = new URL("../../dist/page/", import.meta.url);

/** What a page names as its maker, in front of the version: by that reports are told from other files. */
export const GENERATOR = "vlmr1-native ";

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' " +
  "rx='8' fill='%234f46e5'/%3E%3Cpath d='M6 22l6-7 5 4 9-11' fill='none' stroke='white' stroke-width='3' " +
  "stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E";

/**
 * One HTML document that needs nothing besides itself: data, code and styles are in it. A report works from the disk
 * and may not reach any network; a dashboard talks to the server it came from.
 *
 * @throws VlmR1Error `ERR_NOT_FOUND` where the page's code has not been built.
 */
export async function renderPage(data: PageData): Promise<string> {
  const { script, style } = await builtParts();
  const policy = policyOf(data.kind, script, style);
  return `<!doctype html>
<html lang="en" data-kind="${data.kind}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="${GENERATOR}${escapeHtml(data.version)}">
<title>${escapeHtml(data.title)}</title>
<link rel="icon" href="${ICON}">
<style>${style}</style>
</head>
<body>
<noscript><p class="noscript">This page draws its numbers with JavaScript, which is switched off here.</p></noscript>
<div id="app"></div>
<script type="application/json" id="page-data">${jsonForHtml(data)}</script>
<script>${script}</script>
</body>
</html>
`;
}

function policyOf(kind: PageData["kind"], script: string, style: string): string {
  const live = kind === "dashboard";
  return [
    "default-src 'none'",
    `script-src '${sourceHash(script)}'`,
    `style-src '${sourceHash(style)}'`,
    live ? "img-src 'self' data:" : "img-src data:",
    ...(live ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

function sourceHash(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

async function builtParts(): Promise<{ script: string; style: string }> {
  const read = async (name: string) => {
    const path = fileURLToPath(new URL(name, BUILT));
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      throw new VlmR1Error("ERR_NOT_FOUND", `${path}: the page's code is not there`, {
        hint: "Build it with `npm run build -- typescript`.",
        cause: error,
      });
    }
  };
  const [script, style] = await Promise.all([read("client.js"), read("client.css")]);
  return { script, style };
}

/**
 * JSON that cannot end the element it stands in: no `<` at all, so neither `</script>` nor `<!--`; and none of the
 * characters that end a line of old JavaScript.
 */
export function jsonForHtml(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
