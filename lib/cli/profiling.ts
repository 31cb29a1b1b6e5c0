import type { Engine } from "../engine/index.js";
import { formatProfile } from "../report/profile.js";
import { ProfileRecorder } from "../report/profile-recorder.js";
import type { CliContext } from "./context.js";
import { warn } from "./output.js";

/** Where a command writes its trace that has no run's folder. */
export const TRACE_HERE = "trace.json";

/** Does the work, and profiles it where that was asked for, also where it fails or is interrupted. */
export async function withProfile<T>(
  profile: boolean | string | undefined,
  engine: Engine,
  context: CliContext,
  work: () => Promise<T>,
): Promise<T> {
  if (profile === undefined || profile === false) return work();
  const recorder = await ProfileRecorder.start(engine);
  try {
    return await recorder.run(work);
  } finally {
    try {
      const report = await recorder.finish(profile === true ? TRACE_HERE : profile);
      context.stderr.write(`${formatProfile(report).join("\n")}\n`);
    } catch (error) {
      warn(context, `there is no profile: ${(error as Error).message}`);
    }
  }
}
