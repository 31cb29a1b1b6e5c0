import { runProgram } from "../../lib/cli/program.js";

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command line in this process. */
export async function runCli(
  args: string[],
  options: {
    signal?: AbortSignal;
    tty?: boolean;
    onWrite?: (text: string) => void;
    onError?: (text: string) => void;
  } = {},
): Promise<CliResult> {
  let stdout = "";
  let stderr = "";
  const code = await runProgram(args, {
    version: "1.2.3",
    signal: options.signal ?? new AbortController().signal,
    stdout: {
      isTTY: options.tty ?? false,
      write: (text) => {
        stdout += text;
        options.onWrite?.(text);
        return true;
      },
    },
    stderr: {
      isTTY: options.tty ?? false,
      write: (text) => {
        stderr += text;
        options.onError?.(text);
        return true;
      },
    },
    env: {},
  });
  return { code, stdout, stderr };
}

/** The values of JSON lines. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
