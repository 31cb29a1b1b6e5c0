/** The part of `@wandb/sdk` (0.5) that is used. */
export interface WandbSdk {
  init(options: { project?: string; id?: string; name?: string; config?: unknown }): Promise<WandbRun>;
}

export interface WandbRun {
  id: string;
  log(data: Record<string, unknown>, step?: number, commit?: boolean): void;
  finish(code?: number): Promise<void>;
  url(): string;
}

export type ToWorker =
  | { type: "init"; options: { project: string; id: string; name: string; config: unknown } }
  | { type: "log"; step: number; data: Record<string, number> }
  | { type: "finish"; code: number };

export type FromWorker = { type: "started"; url: string } | { type: "finished" } | { type: "failed"; reason: string };

/** A port as `node:worker_threads` has it. */
export interface Port {
  postMessage(message: FromWorker): void;
  on(event: "message", listener: (message: ToWorker) => void): unknown;
}

/**
 * Does with the SDK what messages ask for, one after the other. Its text is sent to a worker, so it must name nothing
 * outside itself.
 */
export function serveWandb(sdk: WandbSdk, port: Port): void {
  let run: WandbRun | undefined;
  let work: Promise<void> = Promise.resolve();
  const perform = async (message: ToWorker) => {
    if (message.type === "init") {
      run = await sdk.init(message.options);
      port.postMessage({ type: "started", url: run.url() });
    } else if (message.type === "log") {
      run?.log(message.data, message.step);
    } else {
      await run?.finish(message.code);
      port.postMessage({ type: "finished" });
    }
  };
  port.on("message", (message) => {
    work = work
      .then(() => perform(message))
      .catch((error: unknown) => {
        port.postMessage({ type: "failed", reason: error instanceof Error ? error.message : String(error) });
      });
  });
}
