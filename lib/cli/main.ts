#!/usr/bin/env node
import { isatty } from "node:tty";
import { packageVersion } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { EXIT_INTERRUPTED, runProgram } from "./program.js";
import { isServing } from "./serving.js";

const controller = new AbortController();

/** Asked now: of a terminal that is gone nobody knows that it was one. */
const atTerminal = [0, 1, 2].some((stream) => isatty(stream));

function interrupt(name: "SIGINT" | "SIGTERM" | "SIGHUP"): void {
  if (controller.signal.aborted) {
    // The shell and the system may both tell of a terminal that was closed: nobody is impatient.
    if (name === "SIGHUP") return;
    process.exit(EXIT_INTERRUPTED);
  }
  if (!isServing(controller.signal)) {
    process.stderr.write("\ninterrupted: finishing what must not be lost; once more to stop at once\n");
  }
  controller.abort(new VlmR1Error("ERR_ABORTED", `interrupted by ${name}`));
}

process.on("SIGINT", () => interrupt("SIGINT"));
process.on("SIGTERM", () => interrupt("SIGTERM"));
// The terminal was closed. Under `nohup`, whose mark Node takes away, no stream is one, and the command goes on.
process.on("SIGHUP", () => {
  if (atTerminal) interrupt("SIGHUP");
});
// A reader that has seen enough (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  // So writing to a terminal fails that was closed; what must not be lost is still to be finished.
  if (error.code !== "EIO") throw error;
});
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EIO" && error.code !== "EPIPE") throw error;
});

process.exitCode = await runProgram(process.argv.slice(2), {
  version: packageVersion(),
  signal: controller.signal,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
});
if (controller.signal.aborted) {
  // What does not heed its signal, such as a reward that waits for a server, must not keep the process.
  for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write("", resolve));
  process.exit();
}
