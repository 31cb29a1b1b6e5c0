import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { VlmR1Error } from "../errors/index.js";
import { replaceJson } from "../files/index.js";
import { trackerNames } from "./metric-names.js";
import type { Metrics, Reporter, RunEnd, RunStart, StepReport } from "./reporter.js";
import { type FromWorker, serveWandb, type ToWorker } from "./wandb-worker.js";

export interface WandbOptions {
  /** Default: the name of the run's folder. */
  runName?: string | undefined;
  outputDir: string;
  config: Readonly<Record<string, unknown>>;
}

/** The SDK at work somewhere. */
export interface WandbChannel {
  post(message: ToWorker): void;
  listen(listener: (message: FromWorker) => void): void;
  /** Whether the process waits for it. */
  hold(held: boolean): void;
  end(): Promise<void>;
}

export interface WandbEnvironment {
  env: Readonly<Record<string, string | undefined>>;
  /** The SDK's file; undefined where it is not installed. */
  findSdk(): string | undefined;
  openChannel(sdk: string): WandbChannel;
  /** Milliseconds that a last transfer may take. */
  patience: number;
}

const PACKAGE = "@wandb/sdk";
const DEFAULT_PROJECT = "vlmr1-native";
const PATIENCE = 30_000;
const HOST = "api.wandb.ai";
const EXIT_CODES = { finished: 0, failed: 1, interrupted: 255 } as const;
/** In the run's folder: which runs of Weights & Biases show it. */
export const WANDB_FILE = "wandb.json";

/**
 * A reporter for Weights & Biases, or undefined where WANDB_MODE says that nothing is to be sent.
 *
 * @throws VlmR1Error `ERR_CONFIG` where the SDK is not installed or there is no API key
 */
export async function makeWandb(
  options: WandbOptions,
  context: Partial<WandbEnvironment> & { warn(message: string): void },
): Promise<Reporter | undefined> {
  const { env = process.env, findSdk = findInstalledSdk, openChannel = openWorker, patience = PATIENCE } = context;
  if (env.WANDB_MODE === "disabled") return undefined;
  if (env.WANDB_MODE === "offline") {
    context.warn(
      `WANDB_MODE=offline: ${PACKAGE} keeps no runs on the disk, so nothing is written for Weights & Biases; ` +
        "metrics.jsonl has all numbers",
    );
    return undefined;
  }
  const sdk = findSdk();
  if (sdk === undefined) {
    throw new VlmR1Error("ERR_CONFIG", `report_to: wandb needs the package ${PACKAGE}, which is not installed`, {
      hint: `npm install ${PACKAGE}, or report_to: tensorboard.`,
    });
  }
  if (!env.WANDB_API_KEY && !hasNetrcKey(env)) {
    throw new VlmR1Error("ERR_CONFIG", "report_to: wandb expected an API key in WANDB_API_KEY or ~/.netrc, got none", {
      hint: "Copy it from https://wandb.ai/authorize, or set WANDB_MODE=disabled.",
    });
  }
  const project = env.WANDB_PROJECT || DEFAULT_PROJECT;
  return new WandbReporter(options, { project, patience, open: () => openChannel(sdk), warn: context.warn });
}

interface WandbParts {
  project: string;
  patience: number;
  open(): WandbChannel;
  warn(message: string): void;
}

/**
 * Sends a row per step. The SDK works in a thread of its own, where its errors, its console output and its handlers of
 * Ctrl-C do not reach the run, and no call waits for the network but the last.
 *
 * The SDK numbers the rows of a run from 0 each time it is started and overwrites what the server has under these
 * numbers. So a run that goes on from a checkpoint is a run of its own there, with the earlier one's id in its config.
 */
class WandbReporter implements Reporter {
  private channel: WandbChannel | undefined;
  private row: { step: number; data: Record<string, number> } | undefined;
  private failure: string | undefined;
  private told = false;
  private code: number = EXIT_CODES.failed;
  private finished: (() => void) | undefined;

  constructor(
    private readonly options: WandbOptions,
    private readonly parts: WandbParts,
  ) {}

  async onStart({ outputDir, firstStep }: RunStart): Promise<void> {
    const id = randomBytes(4).toString("hex");
    const earlier = firstStep === 0 ? [] : await readRuns(outputDir);
    const base = this.options.runName ?? basename(resolve(this.options.outputDir));
    const name = firstStep === 0 ? base : `${base} (from step ${firstStep})`;
    const resumed = firstStep === 0 ? {} : { resumed_at_step: firstStep, resumed_from: earlier.at(-1)?.id ?? null };
    const { project } = this.parts;
    const channel = this.parts.open();
    this.channel = channel;
    channel.hold(false);
    channel.listen((message) => this.hear(message));
    channel.post({ type: "init", options: { project, id, name, config: { ...this.options.config, ...resumed } } });
    await writeRuns(outputDir, [...earlier, { id, project, first_step: firstStep }]);
  }

  onStep({ step, epoch, metrics }: StepReport): void {
    this.add(step, { ...metrics, epoch });
  }

  onEvaluation(step: number, metrics: Metrics): void {
    this.add(step, metrics);
  }

  onEnd({ status }: RunEnd): void {
    this.code = EXIT_CODES[status];
  }

  async onClose(): Promise<void> {
    const { channel, parts } = this;
    if (channel === undefined) return;
    this.channel = undefined;
    if (this.failure === undefined) {
      this.send(channel);
      channel.hold(true);
      await this.finish(channel);
    }
    await channel.end();
    if (this.failure !== undefined && !this.told) parts.warn(this.failureText());
  }

  private async finish(channel: WandbChannel): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const { patience } = this.parts;
    await new Promise<void>((done) => {
      this.finished = done;
      timer = setTimeout(() => {
        this.failure ??= `no answer after ${patience / 1000} s`;
        done();
      }, patience);
      channel.post({ type: "finish", code: this.code });
    });
    clearTimeout(timer);
  }

  /** The SDK takes one row per step: an evaluation belongs to the row of its step. */
  private add(step: number, metrics: Metrics): void {
    const { channel } = this;
    if (channel === undefined) return;
    this.tell();
    if (this.failure !== undefined) return;
    if (this.row !== undefined && this.row.step !== step) this.send(channel);
    this.row = { step, data: { ...this.row?.data, ...trackerNames(metrics), "train/global_step": step } };
  }

  private send(channel: WandbChannel): void {
    if (this.row !== undefined) channel.post({ type: "log", step: this.row.step, data: finite(this.row.data) });
    this.row = undefined;
  }

  private hear(message: FromWorker): void {
    if (message.type === "failed") this.failure ??= message.reason;
    if (message.type !== "started") this.finished?.();
  }

  private tell(): void {
    if (this.failure === undefined || this.told) return;
    this.told = true;
    this.parts.warn(this.failureText());
  }

  private failureText(): string {
    return `Weights & Biases: ${this.failure}; nothing more is sent, the run goes on, and metrics.jsonl has all numbers`;
  }
}

/** JSON has no NaN. */
function finite(data: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(data).filter(([, value]) => Number.isFinite(value)));
}

interface RunRecord {
  id: string;
  project: string;
  first_step: number;
}

async function readRuns(folder: string): Promise<RunRecord[]> {
  try {
    const { runs } = JSON.parse(await readFile(join(folder, WANDB_FILE), "utf8")) as { runs?: RunRecord[] };
    return Array.isArray(runs) ? runs : [];
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function writeRuns(folder: string, runs: readonly RunRecord[]): Promise<void> {
  await replaceJson(join(folder, WANDB_FILE), { runs });
}

/** As the SDK looks for one. */
function hasNetrcKey(env: Readonly<Record<string, string | undefined>>): boolean {
  const path = join(homedir(), process.platform === "win32" ? "_netrc" : ".netrc");
  const host =
    env.WANDB_BASE_URL === undefined ? HOST : env.WANDB_BASE_URL.replace(/^.*:\/\//, "").replace(/\/.*$/, "");
  return existsSync(path) && readFileSync(path, "utf8").split(/\s+/).includes(host);
}

/** Beside this package, or in the folder that the program was started in. */
function findInstalledSdk(): string | undefined {
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      return createRequire(from).resolve(PACKAGE);
    } catch {
      // The next place.
    }
  }
  return undefined;
}

/** The SDK in a thread of its own. */
export function openWorker(sdk: string): WandbChannel {
  // As text, so that it is the same thread whether this file was compiled or is read by a test runner.
  const start = `import(${JSON.stringify(pathToFileURL(sdk).href)}).then((found) => {
    const { wandb, default: other } = found;
    (${serveWandb.toString()})(wandb ?? other?.wandb ?? other, require("node:worker_threads").parentPort);
  });`;
  const worker = new Worker(start, { eval: true, stdout: true, stderr: true });
  // Its chatter would break the lines of the terminal.
  worker.stdout.resume();
  worker.stderr.resume();
  return {
    post: (message) => worker.postMessage(message),
    listen(listener) {
      worker.on("message", listener);
      worker.on("error", (error: Error) => listener({ type: "failed", reason: error.message }));
      worker.on("exit", (code) => listener({ type: "failed", reason: `its thread ended with code ${code}` }));
    },
    hold: (held) => (held ? worker.ref() : worker.unref()),
    async end() {
      worker.removeAllListeners();
      // What it throws while it is ended has nobody to hear it.
      worker.on("error", () => undefined);
      await worker.terminate();
    },
  };
}
