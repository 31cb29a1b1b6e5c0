import { EmbeddedPictures } from "../embedded-pictures.js";
import type { PageData, PageRun } from "../page-data.js";
import type { PictureShelf } from "./picture-shelf.js";

/** Of pictures that are sent along, small as there may be hundreds. */
const SENT = { side: 256, quality: 75 };

/**
 * The page with its pictures in it, for browsers that keep it open when its server is gone: they fetch pictures as they
 * come into view. What is not ready after `milliseconds` stays an address.
 */
export async function withPictures(data: PageData, shelf: PictureShelf, milliseconds: number): Promise<PageData> {
  const end = performance.now() + milliseconds;
  const embedded = new EmbeddedPictures(SENT);
  const sent = new Map<string, string>();
  const shown = data.runs.flatMap(({ gallery, regressions, completions }) => [
    ...gallery,
    ...regressions,
    ...completions,
  ]);
  for (const url of new Set(shown.flatMap(({ pictures }) => pictures))) {
    if (performance.now() > end) break;
    const path = shelf.pathOf(url);
    const key = path === undefined ? undefined : await embedded.add(path);
    const picture = key === undefined ? undefined : embedded.pictures[Number(key)];
    if (picture !== undefined) sent.set(url, picture);
  }
  const replace = <T extends { pictures: string[] }>(items: readonly T[]): T[] =>
    items.map((item) => ({ ...item, pictures: item.pictures.map((url) => sent.get(url) ?? url) }));
  const whole = (run: PageRun): PageRun => ({
    ...run,
    gallery: replace(run.gallery),
    regressions: replace(run.regressions),
    completions: replace(run.completions),
  });
  return { ...data, runs: data.runs.map(whole) };
}
