import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The repository, or the installed package. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

const TAIL_LINES = 40;

/**
 * Runs a program in the repository with its output on the screen.
 * @returns {Promise<number>} its exit code
 */
export function run(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal ? 1 : code));
  });
}

/**
 * Runs a program quietly: warnings are shown at its end, and when it fails the last lines of its output are.
 * `VERBOSE=1` shows everything.
 * @returns {Promise<string>} its output
 */
export async function runQuietly(command, args, env = {}) {
  const output = [];
  const code = await new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        output.push(chunk);
        if (process.env.VERBOSE) process.stderr.write(chunk);
      });
    }
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal ? 1 : code));
  });
  const text = Buffer.concat(output).toString();
  if (code !== 0) {
    throw new BuildError(`\`${[command, ...args].join(" ")}\` failed:\n${lastLines(text)}`);
  }
  for (const line of text.split("\n")) if (/\bwarning:/.test(line)) console.error(line);
  return text;
}

/** Compilers name the first error first, and that is the one to read. */
function lastLines(text) {
  const lines = text.trimEnd().split("\n");
  const firstError = lines.findIndex((line) => /\berror\b/i.test(line));
  const start = firstError >= 0 ? Math.max(0, firstError - 3) : Math.max(0, lines.length - TAIL_LINES);
  return lines.slice(start, start + TAIL_LINES).join("\n");
}

/** An expected failure: its message is enough, a stack would say nothing. */
export class BuildError extends Error {}

/** Runs a script's body; a failed build ends it with a message and code 1. */
export async function main(body) {
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    console.error(error instanceof BuildError ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}

/** Prints what is done and, after it, how long it took. */
export async function step(title, body) {
  const start = performance.now();
  console.log(`▸ ${title}`);
  const result = await body();
  console.log(`  done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}
