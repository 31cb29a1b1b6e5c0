import { statSync } from "node:fs";
import { root } from "../build/run.mjs";
import { committedFiles, read } from "./repository.mjs";

const MAX_LINES = 400;
const MAX_BYTES = 8.5e6;
const CODE = /\.(ts|mjs|cpp|h|cu|cuh|py|sh)$/;

/** A file that outgrows these holds two ideas, or does not belong into a repository. */
export function checkFiles() {
  return committedFiles().flatMap((file) => {
    const problems = [];
    const bytes = statSync(root + file).size;
    if (bytes > MAX_BYTES) problems.push(`${file}: ${(bytes / 1e6).toFixed(1)} MB, at most ${MAX_BYTES / 1e6}`);
    if (!CODE.test(file)) return problems;
    const lines = read(file).split("\n").length - 1;
    if (lines > MAX_LINES) problems.push(`${file}: ${lines} lines, at most ${MAX_LINES}`);
    return problems;
  });
}
