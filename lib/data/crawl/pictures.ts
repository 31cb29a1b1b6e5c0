import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ImageRules } from "../../config/crawl-schema.js";
import { parseSize } from "../../config/index.js";
import { replaceFile } from "../../files/index.js";
import { CrawlFailure, problemOf } from "./failure.js";
import type { Fetcher } from "./fetcher.js";
import { checkPicture } from "./picture.js";
import type { CrawlState, PictureOutcome } from "./state.js";

/** Below the crawl's folder. */
const FOLDER = "images";
/** Hexadecimal digits of a picture's hash in its name: 64 bits. */
const NAME_LENGTH = 16;
const ACCEPT = "image/webp,image/png,image/jpeg,image/gif,*/*;q=0.5";

/** Fetches each picture once, and keeps each content once. */
export class Pictures {
  private readonly asked = new Map<string, Promise<PictureOutcome>>();
  private readonly saved = new Map<string, Promise<void>>();

  constructor(
    private readonly folder: string,
    private readonly fetcher: Fetcher,
    private readonly state: CrawlState,
    private readonly rules: ImageRules,
    /** Milliseconds before each. */
    private readonly pause: number,
  ) {}

  /** Where the picture of this address lies, or why it does not. Throws only what ends the crawl. */
  get(url: string): Promise<PictureOutcome> {
    let outcome = this.asked.get(url);
    if (outcome === undefined) {
      outcome = this.known(url) ?? this.fetch(url);
      this.asked.set(url, outcome);
    }
    return outcome;
  }

  /** What an earlier part of the crawl has found; a file that is gone is fetched again. */
  private known(url: string): Promise<PictureOutcome> | undefined {
    const outcome = this.state.pictures.get(url);
    if (outcome === undefined) return undefined;
    const holds = "file" in outcome ? existsSync(join(this.folder, outcome.file)) : !outcome.failed.later;
    return holds ? Promise.resolve(outcome) : undefined;
  }

  private async fetch(url: string): Promise<PictureOutcome> {
    const outcome = await this.store(url).catch((error: unknown): PictureOutcome => {
      if (error instanceof CrawlFailure) return { failed: problemOf("picture", url, error) };
      throw error;
    });
    await this.state.addPicture(url, outcome);
    return outcome;
  }

  private async store(url: string): Promise<PictureOutcome> {
    const { body } = await this.fetcher.fetch(url, this.pause, {
      limit: parseSize(this.rules.maxBytes),
      accept: ACCEPT,
    });
    const ending = await checkPicture(body, url, this.rules);
    const hash = createHash("sha256").update(body).digest("hex").slice(0, NAME_LENGTH);
    const file = `${FOLDER}/${hash}.${ending}`;
    // Two addresses with the same content come to the same file, perhaps at the same time.
    const saving = this.saved.get(file) ?? this.save(file, body);
    this.saved.set(file, saving);
    await saving;
    return { file };
  }

  private async save(file: string, body: Buffer): Promise<void> {
    const path = join(this.folder, file);
    const hint = "What was fetched is kept: with room on the disk, --resume goes on.";
    await replaceFile(path, { what: "write the picture", hint }, (handle) => handle.writeFile(body));
  }
}
