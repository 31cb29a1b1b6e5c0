import { createHash } from "node:crypto";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Site } from "../../config/crawl-schema.js";
import { fromSystem, usageError, VlmR1Error } from "../../errors/index.js";
import { makeFolder } from "../../files/index.js";
import type { PageRecord } from "./extract.js";
import type { CrawlProblem } from "./failure.js";

export const STATE_FILE = "crawl-state.jsonl";
const VERSION = 1;
const HINT = "What was fetched is kept: with room on the disk, --resume goes on.";

export type PageOutcome = PageRecord | { failed: CrawlProblem };
/** `file`: relative to the crawl's folder. */
export type PictureOutcome = { file: string } | { failed: CrawlProblem };

type Line =
  | { crawl: number; site: string; rules: string }
  | { page: string; outcome: PageOutcome }
  | { picture: string; outcome: PictureOutcome };

/**
 * What a crawl has fetched: a journal of a line per page and picture. It only grows, so that it costs the same however
 * long the crawl is; of a killed crawl the last line may be torn, and is dropped.
 */
export class CrawlState {
  readonly pages = new Map<string, PageOutcome>();
  readonly pictures = new Map<string, PictureOutcome>();
  private writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /**
   * Opens the folder's state, or begins one where there is none, or none with a page in it. Throws `ERR_USAGE` where
   * there is one and it is not to be resumed, `ERR_CONFIG` where it is that of a crawl by other rules.
   */
  static async open(folder: string, site: Site, resume: boolean): Promise<CrawlState> {
    const path = join(folder, STATE_FILE);
    let file: FileHandle | undefined;
    try {
      await makeFolder(folder);
      const { lines, bytes } = await readLines(path);
      if (lines.length > 0) checkLines(lines, site, path, resume);
      file = await open(path, lines.length > 0 ? "a" : "w");
      await file.truncate(bytes);
      const state = new CrawlState(path, file);
      for (const line of lines) state.remember(line);
      if (lines.length === 0) await state.append({ crawl: VERSION, site: site.name, rules: rulesHash(site) });
      return state;
    } catch (error) {
      await file?.close();
      throw fromSystem(error, "open the crawl's state", path, HINT);
    }
  }

  async addPage(page: string, outcome: PageOutcome): Promise<void> {
    await this.append({ page, outcome });
  }

  async addPicture(picture: string, outcome: PictureOutcome): Promise<void> {
    await this.append({ picture, outcome });
  }

  async close(): Promise<void> {
    await this.writing.catch(() => undefined);
    await this.file.close();
  }

  /** Lines are whole, one after the other, also where several ends come together. */
  private async append(line: Line): Promise<void> {
    const written = this.writing.then(() => this.file.appendFile(`${JSON.stringify(line)}\n`));
    this.writing = written;
    try {
      await written;
    } catch (error) {
      throw fromSystem(error, "write the crawl's state", this.path, HINT);
    }
    this.remember(line);
  }

  private remember(line: Line): void {
    if ("page" in line) this.pages.set(line.page, line.outcome);
    if ("picture" in line) this.pictures.set(line.picture, line.outcome);
  }
}

/** The whole lines of a state, and how many bytes they are; none where no page is in it: there is nothing to lose. */
async function readLines(path: string): Promise<{ lines: Line[]; bytes: number }> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const lines = whole
    .split("\n")
    .slice(0, -1)
    .map((line, index) => parseLine(line, `${path}, line ${index + 1}`));
  const hasPage = lines.some((line) => "page" in line && !("failed" in line.outcome));
  return hasPage ? { lines, bytes: Buffer.byteLength(whole) } : { lines: [], bytes: 0 };
}

function parseLine(text: string, where: string): Line {
  try {
    const line: unknown = JSON.parse(text);
    if (isLine(line)) return line;
  } catch {
    // Said below.
  }
  throw new VlmR1Error("ERR_DATA", `${where}: not a line of a crawl's state: ${text.slice(0, 60)}`, {
    hint: "Take a new folder, or remove this line: what it stands for is fetched again.",
  });
}

function isLine(line: unknown): line is Line {
  if (typeof line !== "object" || line === null) return false;
  if ("crawl" in line) return true;
  const outcome = (line as { outcome?: unknown }).outcome;
  if (typeof outcome !== "object" || outcome === null) return false;
  if ("failed" in outcome) return typeof (outcome.failed as CrawlProblem | null)?.message === "string";
  if ("picture" in line) return typeof (outcome as { file?: unknown }).file === "string";
  const { items, problems } = outcome as Partial<PageRecord>;
  return "page" in line && Array.isArray(items) && items.every(Array.isArray) && Array.isArray(problems);
}

function checkLines([first]: readonly Line[], site: Site, path: string, resume: boolean): void {
  if (!resume) {
    throw usageError(
      `${dirname(path)} holds a crawl already`,
      "--resume goes on with it; for a new one give another folder.",
    );
  }
  if (first === undefined || !("crawl" in first) || first.crawl !== VERSION) {
    throw new VlmR1Error("ERR_DATA", `${path}: not a crawl's state of version ${VERSION}`, {
      hint: "Take a new folder.",
    });
  }
  if (first.rules === rulesHash(site)) return;
  throw new VlmR1Error("ERR_CONFIG", `${path}: this crawl was begun by other addresses or rules (site ${first.site})`, {
    hint: "Go on with the description that it was begun with, or take a new folder. Pace and limits may change.",
  });
}

/** Of all that decides what is fetched and what is made of it; pauses, limits and headers may change on the way. */
function rulesHash({ start, list, item, fields, unique, images, next }: Site): string {
  const pictures = images === false ? false : images.field;
  const rules = JSON.stringify({ start, list, item, fields, unique, images: pictures, next });
  return createHash("sha256").update(rules).digest("hex").slice(0, 16);
}
