/**
 * What a command gets from the program around it. A command file exports
 * `register(program: Command, context: CliContext): void`, adds one commander command, and in its action parses, calls
 * the library, and throws: `main.ts` prints errors and picks the exit code.
 *
 * Exit codes: 0; 1 failed; 2 wrong usage (`ERR_USAGE`, `ERR_CONFIG`, commander's own); 130 interrupted.
 * Results go to `stdout`; progress, warnings and errors to `stderr`.
 */
export interface CliContext {
  readonly version: string;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP; pass it to every long call. A second SIGINT ends the process at once. */
  readonly signal: AbortSignal;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The part of a stream that commands use, so that tests can collect what is written. */
export interface Output {
  write(text: string): boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
}
