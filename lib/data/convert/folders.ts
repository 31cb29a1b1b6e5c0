import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, relative, resolve, sep } from "node:path";
import { fromSystem, throwIfAborted, VlmR1Error } from "../../errors/index.js";
import type { Source, SourceItem } from "./source.js";

const PICTURES = new Set([".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif"]);
/** `set` is the first folder: of train/apple/1.jpg "train". */
const COLUMNS = ["file", "class", "folder", "set"];

/**
 * Opens a folder that has a folder of pictures for each class, also nested. The class is the innermost folder's name.
 * Files that are no pictures are counted in `notices`. Names are taken in the order of their characters' numbers.
 */
export async function openFolders(root: string, signal?: AbortSignal): Promise<Source> {
  const { pictures, others } = await listFiles(root, signal);
  if (pictures.length === 0) {
    throw new VlmR1Error("ERR_DATA", `${root}: there is no picture in it or in its folders`, {
      hint: `Pictures end in ${[...PICTURES].join(", ")}.`,
    });
  }
  const notices = others.length === 0 ? [] : [describeOthers(others)];
  const read = () => items(pictures);
  return { file: root, format: "folders", columns: COLUMNS, folder: resolve(root), notices, read };
}

/** Files that a notice names. */
const NAMED = 5;

function describeOthers(others: readonly string[]): string {
  const what = others.length === 1 ? "1 file is no picture" : `${others.length} files are no pictures`;
  return `${what}: ${others.slice(0, NAMED).join(", ")}${others.length > NAMED ? " …" : ""}`;
}

async function* items(pictures: readonly string[]): AsyncGenerator<SourceItem> {
  for (const path of pictures) {
    const parts = path.split("/");
    if (parts.length < 2) {
      const message = "it lies in no folder that names its class";
      yield { problem: { kind: "missing_field", place: path, message } };
      continue;
    }
    const folder = parts.slice(0, -1).join("/");
    yield { record: { place: path, fields: { file: path, class: parts.at(-2), folder, set: parts[0] } } };
  }
}

/** Paths from the root with "/" between their parts; hidden files and folders are passed over. */
async function listFiles(root: string, signal?: AbortSignal): Promise<{ pictures: string[]; others: string[] }> {
  const pictures: string[] = [];
  const others: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    throwIfAborted(signal);
    const folders: string[] = [];
    for (const entry of await entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile() || (await isLinkedFile(entry, path))) {
        const list = PICTURES.has(extname(entry.name).toLowerCase()) ? pictures : others;
        list.push(relative(root, path).split(sep).join("/"));
      }
    }
    for (const path of folders) await walk(path);
  };
  await walk(root);
  return { pictures, others };
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter(({ name }) => !basename(name).startsWith(".")).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw fromSystem(error, "read the folder", folder);
  }
}

/** Linked folders are passed over, as they can lead in a circle. */
async function isLinkedFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return false;
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
