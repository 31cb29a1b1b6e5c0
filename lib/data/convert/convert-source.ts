import { throwIfAborted, VlmR1Error } from "../../errors/index.js";
import { parseRow, type Row } from "../datasets/index.js";
import { mapBounded } from "../map-bounded.js";
import type { Profile } from "./columns.js";
import { type Entry, readEntry, readPictures } from "./entry.js";
import { type MadeEntry, makeRows, type Recipe } from "./make-rows.js";
import { type KnownPicture, type PictureInspector, type PictureReference, storePicture } from "./pictures.js";
import type { ConvertProblem, ProblemKind, Source, SourceItem, SourceRecord } from "./source.js";

/** A row of the output before it is known where that lies. */
export interface ConvertedRow {
  file: string;
  place: string;
  /** As training will read it; pictures by absolute paths. */
  row: Row;
  conversations: readonly { from: string; value: string }[];
  kept: Readonly<Record<string, unknown>>;
  /** The source's fields, for splits. */
  texts: Entry["texts"];
  /** What it shares with rows that must stay on its side. */
  keys: readonly string[];
}

export interface SourceJob {
  source: Source;
  profile: Profile;
  recipe: Recipe;
  /** Folder that relative picture paths start from. */
  folder: string;
  /** Folder for pictures that come as bytes. */
  pictureFolder: string;
}

/** What all sources of a conversion share. */
export interface Collected {
  inspector: PictureInspector;
  rows: ConvertedRow[];
  problems: ConvertProblem[];
  /** Where an entry stands that says the same, by what it says. */
  seen: Map<string, string>;
  /** Rows of sources that were read. */
  records: number;
}

/** Records that are worked on at a time. */
const BATCH = 64;
const WIDTH = 8;

/** Mistakes of one row; anything else ends the conversion. */
const ROW_ERRORS: ReadonlySet<string> = new Set(["ERR_DATA", "ERR_IMAGE", "ERR_NOT_FOUND", "ERR_IO"]);

/** Why a row is left out. */
class LeftOut extends Error {
  constructor(
    readonly kind: ProblemKind,
    message: string,
    readonly id?: string,
  ) {
    super(message);
  }
}

/** Adds a source's rows and problems to `into`, in their order. */
export async function convertSource(
  job: SourceJob,
  into: Collected,
  { signal, onRecords }: { signal?: AbortSignal | undefined; onRecords?: ((records: number) => void) | undefined },
): Promise<void> {
  for await (const batch of inBatches(job.source.read(wantedColumns(job), signal), BATCH)) {
    throwIfAborted(signal);
    const made = await mapBounded(batch, (item) => prepare(item, job, into.inspector), { width: WIDTH, signal });
    for (const one of made) await collect(one, job, into);
    into.records += batch.length;
    onRecords?.(into.records);
  }
}

/** Columns that may be lists, maps or bytes. */
function wantedColumns({ source, profile, recipe }: SourceJob): Set<string> {
  const { image, ...others } = profile.roles;
  const own = Object.values(others).filter((column) => column !== undefined);
  // Rows of conversations keep all they have, unless told otherwise.
  const kept = recipe.keep ?? (profile.conversations ? source.columns : []);
  return new Set([...image, ...own, ...kept, "conversations"]);
}

async function* inBatches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

interface Prepared {
  entry: Entry;
  pictures: { reference: PictureReference; known: KnownPicture }[];
  made: MadeEntry;
}

type Outcome = Prepared | { problem: Omit<ConvertProblem, "file"> };

/** All of a record's work that does not depend on the others. */
async function prepare(item: SourceItem, job: SourceJob, inspector: PictureInspector): Promise<Outcome> {
  if ("problem" in item) return item;
  try {
    return await prepareRecord(item.record, job, inspector);
  } catch (error) {
    if (!(error instanceof LeftOut)) throw error;
    return { problem: { kind: error.kind, place: item.record.place, id: error.id, message: error.message } };
  }
}

async function prepareRecord(record: SourceRecord, job: SourceJob, inspector: PictureInspector): Promise<Prepared> {
  const { source, profile, folder, recipe } = job;
  const kind = profile.conversations ? "bad_conversation" : "missing_field";
  const entry = orLeaveOut(kind, undefined, () => readEntry(record, source, profile));
  const references = orLeaveOut("missing_picture", entry.id, () => readPictures(record, profile, folder));
  const pictures = await Promise.all(
    references.map(async (reference) => ({ reference, known: await look(reference, entry, inspector) })),
  );
  const made = orLeaveOut("missing_field", entry.id, () => makeRows(entry, pictures, recipe, folder));
  return { entry, pictures, made };
}

async function look(reference: PictureReference, entry: Entry, inspector: PictureInspector): Promise<KnownPicture> {
  try {
    return await inspector.look(reference);
  } catch (error) {
    return leaveOut(
      error,
      (error as VlmR1Error).code === "ERR_NOT_FOUND" ? "missing_picture" : "bad_picture",
      entry.id,
    );
  }
}

function orLeaveOut<T>(kind: ProblemKind, id: string | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    return leaveOut(error, kind, id);
  }
}

function leaveOut(error: unknown, kind: ProblemKind, id: string | undefined): never {
  if (!(error instanceof VlmR1Error) || !ROW_ERRORS.has(error.code)) throw error;
  throw new LeftOut(kind, error.message, id);
}

/** What depends on the order of the records: which of two equal ones is the first, and what is written. */
async function collect(outcome: Outcome, job: SourceJob, into: Collected): Promise<void> {
  const { file } = job.source;
  if ("problem" in outcome) {
    const { kind, place, id, message } = outcome.problem;
    into.problems.push({ kind, file, place, id, message });
    return;
  }
  const { entry, made } = outcome;
  const { place, id } = entry;
  const before = into.seen.get(made.sameness);
  if (before !== undefined) {
    const message = `the same pictures, question and answer as ${before}`;
    into.problems.push({ kind: "duplicate", file, place, id, message });
    return;
  }
  try {
    const rows = checkedRows(outcome, await storeAll(outcome, job.pictureFolder), file);
    into.seen.set(made.sameness, `${file}, ${place}`);
    into.rows.push(...rows);
  } catch (error) {
    if (!(error instanceof LeftOut)) throw error;
    into.problems.push({ kind: error.kind, file, place, id, message: error.message });
  }
}

async function storeAll({ pictures }: Prepared, folder: string): Promise<string[]> {
  const paths: string[] = [];
  for (const { reference, known } of pictures) {
    paths.push("path" in reference ? reference.path : await storePicture(reference.bytes, known, folder));
  }
  return paths;
}

/** Reads the rows as training will, which says what is wrong with them in the same words. */
function checkedRows({ entry, made, pictures }: Prepared, images: readonly string[], file: string): ConvertedRow[] {
  return made.rows.map(({ id, conversations, kept }) => {
    const value = { ...kept, id, ...(images.length > 0 && { image: images }), conversations };
    const row = orLeaveOut("bad_conversation", id, () => parseRow(value, "", id));
    const shared =
      pictures.length > 0
        ? pictures.map(({ known }) => `picture:${known.hash}`)
        : [`text:${JSON.stringify(row.messages)}`];
    return {
      file,
      place: entry.place,
      row,
      conversations,
      kept,
      texts: entry.texts,
      keys: [`record:${made.sameness}`, ...shared],
    };
  });
}
