import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { goldenPath } from "./golden.js";

/** The command line, built. */
export const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** A program that was started; it is over when `ended` resolves. */
export interface Started {
  /** What it has written so far, to both streams. */
  text(): string;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<{ code: number | null; text: string }>;
}

/** Starts the command line as a process of its own; `limit`: the most kilobytes that a file may get. */
export function startCli(args: readonly string[], limit?: number): Started {
  const command = [process.execPath, MAIN, ...args];
  const [program = "", ...rest] =
    limit === undefined ? command : ["bash", "-c", `ulimit -f ${limit}; exec "$@"`, "bash", ...command];
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (more: string) => {
      text += more;
    });
  }
  const ended = new Promise<{ code: number | null; text: string }>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, text }));
  });
  return { text: () => text, kill: (signal) => child.kill(signal), ended };
}

/** Writes a reward that a random model earns by chance, and gives its path. */
export function writeReward(folder: string, name = "reward", body = "return -[...completion].length;"): string {
  const path = join(folder, `${name}.mjs`);
  writeFileSync(path, `export default async function ${name}(completion) { ${body} }\n`);
  return path;
}

/** `train` with the tiny golden model: steps of a few milliseconds, checkpoints of 1.8 MB. */
export function tinyRun(outputDir: string, reward: string, ...more: string[]): string[] {
  return [
    ...["train", "--model", goldenPath("qwen2_5_vl_a"), "--dataset", goldenPath("conversations.json")],
    ...["--device=cpu", "--threads", "2", "--reward", reward, "--output-dir", outputDir, "--logging-steps", "1"],
    ...["--prompts-per-step", "2", "--num-generations", "2", "--max-completion-length", "8", "--lr", "1e-3", ...more],
  ];
}
