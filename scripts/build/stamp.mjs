// What was built from what: a hash of the inputs, kept beside the outputs. Times of files say nothing after a checkout.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { root } from "./run.mjs";

const folder = `${root}build/stamps/`;

/**
 * @param {string[]} files  paths from the root; those that do not exist are left out
 * @param {unknown[]} facts  what else the output depends on
 */
export function hashOf(files, facts = []) {
  const hash = createHash("sha256").update(JSON.stringify(facts));
  for (const file of files.filter((file) => existsSync(root + file))) {
    const content = readFileSync(root + file);
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

/** The hash that `name` was last built from, or null. */
export function readStamp(name) {
  return existsSync(folder + name) ? readFileSync(folder + name, "utf8") : null;
}

export function writeStamp(name, hash) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(folder + name, hash);
}

/** Before a build starts: one that is interrupted must not look finished. */
export function removeStamp(name) {
  rmSync(folder + name, { force: true });
}
