import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../../scripts/make-qwen-tokenizer.mjs", import.meta.url));

/** Writes Qwen's real tokenizer, with template and settings, into a folder. */
export function makeQwenFolder(out: string): string {
  execFileSync(process.execPath, [SCRIPT, "--out", out]);
  return out;
}
