import { z } from "zod";
import { underHeading } from "./headings.js";
import { SIZE_PATTERN } from "./size.js";

const sizeField = (fallback: string) =>
  z
    .union([z.string(), z.number()])
    .transform(String)
    .pipe(z.string().regex(SIZE_PATTERN, "expected a size such as 5MB, 500KB or a number of bytes"))
    .default(fallback);

const seconds = (most: number) => z.number().min(0).max(most);

/** How a site is asked; in its description as in flags, which win. Times in seconds. */
const paceFields = {
  delay: seconds(3600).describe("pause between two requests to a host, in seconds; a longer Crawl-delay wins"),
  concurrency: z.int().min(1).max(64).describe("pictures that are fetched at a time, over all hosts"),
  timeout: seconds(3600).gt(0).describe("most seconds of a whole request with its body, and of reading a page"),
  retries: z.int().min(0).max(20).describe("further tries after a passing failure, longer and longer apart"),
};

/** `--delay` and others: what is not given is as the site's description has it. */
export const crawlSchema = z.object({
  ...underHeading("Crawl", {
    site: z.string().min(1).default("food-list").describe("name of a built-in site, or a site's description in YAML"),
    out: z.string().min(1).describe("folder for the CSV, the pictures, the state and the report"),
    maxItems: z.int().min(1).optional().describe("end after so many items (default: all)"),
    dryRun: z.boolean().default(false).describe("fetch the first page alone, show its items, and write nothing"),
    resume: z.boolean().default(false).describe("go on with the crawl in the folder"),
    allowPrivate: z
      .boolean()
      .default(false)
      .describe("fetch from private, local and reserved addresses too; pages may then point anywhere in your network"),
  }),
  ...underHeading("Over the site's description", {
    startUrl: z
      .string()
      .min(1)
      .optional()
      .describe("start here instead, as at a mirror; {group} and {page} are filled as at the site's first address"),
    delay: paceFields.delay.optional(),
    concurrency: paceFields.concurrency.optional(),
    timeout: paceFields.timeout.optional(),
    retries: paceFields.retries.optional(),
  }),
});

export type CrawlConfig = z.output<typeof crawlSchema>;

const texts = (expected: string) =>
  z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)], expected)
    .transform((given) => (Array.isArray(given) ? given : [given]));

const rangeSchema = z
  .union(
    [z.int().min(0), z.string().min(1), z.array(z.union([z.int().min(0), z.string().min(1)])).min(1)],
    "expected a range such as 1-9, a list such as [1, 3, 5-7], or a number",
  )
  .optional();

const startSchema = z.object({
  url: z.string().min(1).describe("address, with {group} and {page} where ranges go"),
  group: rangeSchema.describe("values of {group}"),
  page: rangeSchema.describe("values of {page}"),
});

/** One column of the CSV. What is not found is "N/A". */
export const fieldSchema = z.object({
  selector: z.string().min(1).optional().describe("CSS selector below the item; the item itself where there is none"),
  attribute: texts("expected the name of an attribute, or a list of them")
    .optional()
    .describe("attributes in the order in which they are tried; the text where there is none"),
  type: z.enum(["text", "url"]).default("text").describe("url: made absolute, and no data: or javascript: address"),
  skip: texts("expected a text or a list of them")
    .optional()
    .describe("values that hold one of these, such as blank.gif, count as not there"),
  split: texts("expected a separator, or a list of them").optional().describe("cut the text at these"),
  take: z
    .union([z.int(), z.literal("rest")], "expected the number of a part (0 is the first, -1 the last), or rest")
    .default(1)
    .describe("which part of a split text; rest: all behind the first separator"),
  pattern: z
    .string()
    .min(1)
    .optional()
    .describe("regular expression; takes the group (?<value>…), else the first group, else all that it matches"),
  trim: z.boolean().default(true).describe("one space for every run of white space, none at the ends"),
  default: z.string().default("N/A").describe("what stands for what is missing"),
});

const imagesSchema = z.object({
  field: z.string().min(1).default("image").describe("field with the picture's address"),
  delay: seconds(3600).optional().describe("pause before a picture (default: that of the site)"),
  minBytes: sizeField("100").describe("smaller files are counting pixels and the like"),
  maxBytes: sizeField("20MB").describe("larger files are not fetched to their end"),
  minPixels: z.int().min(1).default(256).describe("least width times height"),
  maxPixels: z.int().min(1).default(50_000_000).describe("most width times height"),
});

/** The connection sets these itself. */
const HEADER_NAME =
  /^(?!(?:host|connection|content-length|transfer-encoding|accept-encoding|upgrade|expect|te)$)[\w!#$%&'*+.^`|~-]+$/i;

const nextSchema = z.object({
  selector: z.string().min(1).describe("CSS selector of the link to the next page"),
  attribute: texts("expected the name of an attribute").default(["href"]).describe("attribute with its address"),
  maxPages: z.int().min(1).max(100_000).default(100).describe("most pages that follow one start address"),
});

/** The description of a site. Spelled in snake_case in YAML. */
export const siteSchema = z.object({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w-]{0,63}$/, "expected letters, digits, - and _")
    .default("items")
    .describe("what the report and messages call it"),
  description: z.string().optional(),
  start: z.array(startSchema).min(1).describe("where the pages are"),
  headers: z
    .record(
      z.string().regex(HEADER_NAME, "expected the name of a header that is not the connection's own"),
      z.string().regex(/^[\t\x20-\x7e\xa0-\xff]*$/, "expected one line of Latin letters"),
    )
    .default({})
    .describe("headers of every request"),
  list: z.string().min(1).optional().describe("CSS selector of what holds the items (default: the whole page)"),
  item: z.string().min(1).describe("CSS selector of an item in it"),
  fields: z.record(z.string(), fieldSchema).describe("columns of the CSV, in this order"),
  unique: z.array(z.string()).min(1).optional().describe("fields that tell items apart (default: all)"),
  images: z
    .union([z.literal(false), imagesSchema])
    .default(false)
    .describe("pictures to fetch; false: none"),
  next: nextSchema.optional().describe("link to the next page, for sites whose pages have no numbers"),
  delay: paceFields.delay.default(2),
  concurrency: paceFields.concurrency.default(4),
  timeout: paceFields.timeout.default(30),
  stallTimeout: seconds(3600).gt(0).default(15).describe("most seconds without a byte, and to connect"),
  retries: paceFields.retries.default(4),
  firstWait: seconds(3600).default(1).describe("wait before the first further try; it doubles with each"),
  longestWait: seconds(3600).default(60).describe("most seconds between two tries"),
  longestAskedWait: seconds(86_400).default(300).describe("a page that asks for a longer wait is left for later"),
  stopAtEmpty: z
    .boolean()
    .default(true)
    .describe("a page without items, or that is not there (404), ends the pages of its group"),
  maxRedirects: z.int().min(0).max(20).default(5),
  maxPageBytes: sizeField("10MB").describe("most bytes of a page, unpacked"),
  maxFailures: z.int().min(0).default(5).describe("end when so many pages in a row cannot be fetched; 0: never"),
});

export type FieldRule = z.output<typeof fieldSchema>;
export type StartRule = z.output<typeof startSchema>;
export type ImageRules = z.output<typeof imagesSchema>;
/** A site's description with all defaults filled in. */
export type Site = z.output<typeof siteSchema>;
/** A site's description as a program gives it: camelCase or snake_case. */
export type SiteInput = z.input<typeof siteSchema>;
