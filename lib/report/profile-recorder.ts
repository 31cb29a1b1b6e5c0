import type { Engine } from "../engine/index.js";
import { type ProfileReport, summarize } from "./profile.js";
import { writeTrace } from "./profile-trace.js";
import { SpanLog } from "./spans.js";

/** Records what an engine and JavaScript do, from `start` to `finish`. */
export class ProfileRecorder {
  private readonly log = new SpanLog();
  private readonly startedAt = performance.now();

  private constructor(private readonly engine: Engine) {}

  /** Throws `ERR_STATE` where somebody else profiles this engine. */
  static async start(engine: Engine): Promise<ProfileRecorder> {
    const recorder = new ProfileRecorder(engine);
    await engine.startProfile();
    return recorder;
  }

  /** Work whose spans are recorded. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.log.run(work);
  }

  /** Ends the recording, then writes the trace. */
  async finish(path: string, steps?: readonly [number, number]): Promise<ProfileReport> {
    const { engine, log, startedAt: start } = this;
    log.close();
    const end = performance.now();
    const recording = { engine: await engine.stopProfile(), log, start, end };
    await writeTrace(path, recording);
    return { path, steps, ...summarize(recording) };
  }
}
