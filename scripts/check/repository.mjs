import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { root } from "../build/run.mjs";

/** A check that cannot run here, and why. */
export class Skip extends Error {
  name = "Skip";
}

/** What is or would be committed, as paths from the root. */
export function committedFiles() {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  return [...new Set(list.split("\0"))].filter((file) => file && existsSync(root + file)).sort();
}

/** @param {RegExp} pattern */
export function committedFilesLike(pattern) {
  return committedFiles().filter((file) => pattern.test(file));
}

export function read(file) {
  return readFileSync(root + file, "utf8");
}

/** Runs a tool whose output lines are its problems when it fails. */
export function problemsOf(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (error) throw new Skip(`${command}: ${error.message}`);
  return status === 0 ? [] : `${stdout}${stderr}`.trimEnd().split("\n");
}
