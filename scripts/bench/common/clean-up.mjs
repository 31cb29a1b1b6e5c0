import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";

/** What must not outlive this process, however it ends. */
const left = new Set();

process.once("exit", () => {
  // The last first: programs end before the folder that they work in is removed.
  for (const cleanUp of [...left].reverse()) cleanUp();
});
// A signal's default would end the process without the "exit" above.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]));
}

/** A child process that ends with this one, also where it is stopped. Arguments are those of `spawn`. */
export function spawnChild(...args) {
  const child = spawn(...args);
  const kill = () => child.kill("SIGKILL");
  left.add(kill);
  for (const end of ["close", "error"]) child.once(end, () => left.delete(kill));
  return child;
}

/** A folder that is gone after `remove()`, or with this process. */
export async function temporaryFolder() {
  const folder = await mkdtemp(join(tmpdir(), "vlmr1-bench-"));
  const options = { recursive: true, force: true, maxRetries: 3 };
  const removeNow = () => rmSync(folder, options);
  left.add(removeNow);
  const remove = async () => {
    await rm(folder, options);
    left.delete(removeNow);
  };
  return { folder, remove };
}
