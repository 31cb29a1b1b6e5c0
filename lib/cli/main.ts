#!/usr/bin/env node
import { packageVersion } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { EXIT_INTERRUPTED, runProgram } from "./program.js";
import { isServing } from "./serving.js";

const controller = new AbortController();

function interrupt(name: "SIGINT" | "SIGTERM" | "SIGHUP"): void {
  if (controller.signal.aborted) {
    // The shell and the system both tell of a terminal that was closed: nobody is impatient.
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
process.on("SIGHUP", () => interrupt("SIGHUP"));
// What nobody reads any more, as of a closed terminal, must not end hours of work.
process.stderr.on("error", () => {});
// A reader that has seen enough (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
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
