import { appendFile } from "node:fs/promises";

export interface DebugEntry {
  reward: number | null;
  completion: string;
  solution: string;
}

/** The file that `DEBUG_MODE=true LOG_PATH=file` asks for. */
export function debugLogPath(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return env.DEBUG_MODE === "true" && env.LOG_PATH ? env.LOG_PATH : undefined;
}

/** Appends scored completions in the form that VLM-R1 writes, so that its log readers work. */
export async function appendDebugLog(path: string, entries: readonly DebugEntry[], now = new Date()): Promise<void> {
  await appendFile(path, entries.map((entry) => formatDebugEntry(entry, now)).join(""));
}

export function formatDebugEntry({ reward, completion, solution }: DebugEntry, now: Date): string {
  const title = `------------- ${timestamp(now)} Accuracy reward: ${pythonNumber(reward)} -------------`;
  return `${title}\nContent: ${completion}\nSolution: ${solution}\n`;
}

/** DD-HH-MM-SS-micro, local time, as Python's `%d-%H-%M-%S-%f`. */
function timestamp(now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const micro = String(now.getMilliseconds() * 1000).padStart(6, "0");
  return `${two(now.getDate())}-${two(now.getHours())}-${two(now.getMinutes())}-${two(now.getSeconds())}-${micro}`;
}

/** `1.0`, not `1`: as Python prints a float. */
function pythonNumber(value: number | null): string {
  if (value === null) return "None";
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
