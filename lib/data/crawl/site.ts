import { existsSync } from "node:fs";
import { join } from "node:path";
import { load } from "cheerio";
import { fieldSchema, type Site, type SiteInput, siteSchema } from "../../config/crawl-schema.js";
import { readConfigFile } from "../../config/index.js";
import { nearestName } from "../../config/names.js";
import { canonicalKeys, parseConfig } from "../../config/parse.js";
import { packageRoot } from "../../engine/index.js";
import { usageError, VlmR1Error } from "../../errors/index.js";
import { compilePattern } from "./field.js";

/** Column that the crawler adds. */
export const IMAGE_PATH = "image_path";

/** Sites that come with this package. */
const BUILT_IN: Readonly<Record<string, string>> = { "food-list": "examples/crawl/food-list.yaml" };

/** What flags and programs set over a site's description. */
export interface SiteOverrides {
  startUrl?: string | undefined;
  delay?: number | undefined;
  concurrency?: number | undefined;
  timeout?: number | undefined;
  retries?: number | undefined;
}

/** A site by its name, its file, or its description. Throws `ERR_CONFIG` or `ERR_USAGE` with what is wrong and where. */
export async function loadSite(source: string | SiteInput, overrides: SiteOverrides = {}): Promise<Site> {
  if (typeof source !== "string") return withOverrides(parseSite(source, "site"), overrides);
  const path = Object.hasOwn(BUILT_IN, source) ? join(packageRoot(), BUILT_IN[source] as string) : source;
  if (path === source && !/[\\/.]/.test(source) && !existsSync(source)) throw unknownSite(source);
  return withOverrides(parseSite(await readConfigFile(path), path), overrides);
}

function unknownSite(name: string): VlmR1Error {
  const names = Object.keys(BUILT_IN);
  const near = nearestName(name, names);
  return usageError(
    `there is no site "${name}"`,
    near === undefined
      ? `Known: ${names.join(", ")}; or give a YAML file, such as ./site.yaml.`
      : `Did you mean "${near}"?`,
  );
}

/** Checks a description; `where` names it in messages. */
export function parseSite(input: unknown, where: string): Site {
  try {
    const site = parseConfig(siteSchema, withCanonicalParts(input, where), where);
    checkSite(site, where);
    return site;
  } catch (error) {
    if (!(error instanceof VlmR1Error) || error.code !== "ERR_CONFIG" || error.hint !== undefined) throw error;
    throw new VlmR1Error("ERR_CONFIG", error.message, { hint: hintFor(error.message), cause: error });
  }
}

/** Spellings of keys below names that the reader chose, which a schema's own keys cannot tell. */
function withCanonicalParts(input: unknown, where: string): unknown {
  if (!isMap(input)) return input;
  const images = siteSchema.shape.images.unwrap().options[1];
  return Object.fromEntries(
    Object.entries(input).map(([key, value]) => {
      if (key === "images" && isMap(value)) return [key, canonicalKeys(images, value, where, "images.")];
      if (key !== "fields" || !isMap(value)) return [key, value];
      const fields = Object.entries(value).map(([name, rule]) => [
        name,
        canonicalKeys(fieldSchema, rule ?? {}, where, `fields.${name}.`),
      ]);
      return [key, Object.fromEntries(fields)];
    }),
  );
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const EXAMPLES: Readonly<Record<string, string>> = {
  start: 'start: [{url: "https://host/list?page={page}", page: 1-10}]',
  headers: "headers: {User-Agent: my-crawler/1.0 (me@example.org)}",
  fields: "fields: {name: {selector: h4}, image: {selector: img, attribute: [data-src, src], type: url}}",
  images: "images: {field: image, max_bytes: 5MB}, with a field image of type url",
  next: "next: {selector: a.next}",
  unique: "unique: [name]",
  item: "item: li",
};

function hintFor(message: string): string {
  const key = Object.keys(EXAMPLES).find((name) => new RegExp(`(^|[\\s"])${name}\\b`).test(message));
  return `${key === undefined ? "" : `For example: ${EXAMPLES[key]}. `}docs/crawl.md has all keys.`;
}

/** What a schema cannot say: names that have to exist, selectors and expressions that have to be such. */
function checkSite(site: Site, where: string): void {
  const names = Object.keys(site.fields);
  const refuse = (what: string): never => {
    throw new VlmR1Error("ERR_CONFIG", `${where}: ${what}`);
  };
  if (names.length === 0) refuse("fields: expected at least one field");
  if (names.includes(IMAGE_PATH)) refuse(`fields.${IMAGE_PATH}: the crawler has a column of this name itself`);
  const unknown = site.unique?.find((name) => !names.includes(name));
  if (unknown !== undefined) refuse(`unique: there is no field "${unknown}"`);
  if (site.images !== false && site.fields[site.images.field]?.type !== "url") {
    refuse(`images.field: expected a field of type url, got "${site.images.field}"`);
  }
  checkSelector(site.list, `${where}: list`);
  checkSelector(site.item, `${where}: item`);
  checkSelector(site.next?.selector, `${where}: next.selector`);
  for (const [name, rule] of Object.entries(site.fields)) {
    checkSelector(rule.selector, `${where}: fields.${name}.selector`);
    if (rule.pattern !== undefined) compilePattern(rule.pattern, `${where}: fields.${name}.pattern`);
  }
}

function checkSelector(selector: string | undefined, where: string): void {
  if (selector === undefined) return;
  try {
    // Some mistakes are found at the first element only.
    load("<ul><li>x</li></ul>").root().find(selector);
  } catch (cause) {
    const message = `${where}: not a CSS selector: ${selector} (${(cause as Error).message})`;
    throw new VlmR1Error("ERR_CONFIG", message, { hint: "For example: ul.list > li, or img[data-src]", cause });
  }
}

function withOverrides(site: Site, { startUrl, ...pace }: SiteOverrides): Site {
  const given = Object.fromEntries(
    (["delay", "concurrency", "timeout", "retries"] as const).flatMap((key) =>
      pace[key] === undefined ? [] : [[key, pace[key]]],
    ),
  );
  const { images } = site;
  // A pause that is asked for holds for pictures too.
  const paced =
    pace.delay === undefined || images === false ? site : { ...site, images: { ...images, delay: pace.delay } };
  if (startUrl === undefined) return { ...paced, ...given };
  const [first] = site.start;
  const start = {
    url: startUrl,
    group: startUrl.includes("{group}") ? first?.group : undefined,
    page: startUrl.includes("{page}") ? first?.page : undefined,
  };
  return { ...paced, ...given, start: [start] };
}
