import type { Engine } from "../engine/index.js";
import { formatProfile } from "../report/profile.js";
import { ProfileRecorder } from "../report/profile-recorder.js";
import { checkTraceTarget, noProfile, type ProfileOption, tracePath } from "../report/profile-trace.js";
import type { CliContext } from "./context.js";
import { warn } from "./output.js";

/** A wrong path is to be known before weights are loaded and all the work is done. */
export async function checkProfile(profile: ProfileOption): Promise<void> {
  const path = tracePath(profile);
  if (path !== undefined) await checkTraceTarget(path);
}

/** Does the work, and profiles it where that was asked for, also where it fails or is interrupted. */
export async function withProfile<T>(
  profile: ProfileOption,
  engine: Engine,
  context: CliContext,
  work: () => Promise<T>,
): Promise<T> {
  const path = tracePath(profile);
  if (path === undefined) return work();
  const recorder = await ProfileRecorder.start(engine);
  try {
    return await recorder.run(work);
  } finally {
    await finish(recorder, path, context);
  }
}

async function finish(recorder: ProfileRecorder, path: string, context: CliContext): Promise<void> {
  const report = await recorder.finish(path).catch((error: unknown) => void warn(context, noProfile(error)));
  if (report !== undefined) context.stderr.write(`${formatProfile(report).join("\n")}\n`);
}
