import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import type { VlmR1Error } from "../../../lib/errors/index.js";
import { makeTrackers, type Reporter } from "../../../lib/report/index.js";
import { QuietReporter } from "../../../lib/report/quiet.js";
import { openWorker, type WandbChannel } from "../../../lib/report/wandb.js";
import { serveWandb, type ToWorker, type WandbSdk } from "../../../lib/report/wandb-worker.js";
import { RunEvents } from "../../../lib/trainer/events.js";
import { temporaryFolder } from "../../support/temporary.js";

const KEY = { WANDB_API_KEY: "k" };
const start = (outputDir: string, firstStep = 0) => ({
  objective: "grpo" as const,
  outputDir,
  firstStep,
  totalSteps: 9,
  rows: 1,
  parameters: 1,
  trainableParameters: 1,
  maxTokensPerMicrobatch: 1,
});
const step = (number: number, metrics: Record<string, number>) => ({
  step: number,
  totalSteps: 9,
  epoch: number / 4,
  metrics,
  completions: [],
});
const configOf = (outputDir: string, reportTo: ("tensorboard" | "wandb" | "none")[]) => ({
  reportTo,
  outputDir,
  loggingSteps: 10,
  learningRate: 1e-6,
});

/** The SDK's surface; what it is asked for is written down. */
function standIn(behaviour: { init?: Error; finishNever?: boolean } = {}) {
  const calls: unknown[] = [];
  const sdk: WandbSdk = {
    async init(options) {
      if (behaviour.init !== undefined) throw behaviour.init;
      calls.push(["init", options]);
      return {
        id: options.id ?? "",
        url: () => "https://wandb.ai/x",
        log: (data, at) => void calls.push(["log", at, data]),
        finish: async (code) => {
          if (behaviour.finishNever) await new Promise(() => undefined);
          calls.push(["finish", code]);
        },
      };
    },
  };
  return { sdk, calls };
}

/** The worker's side without a worker. */
function channelTo(sdk: WandbSdk): WandbChannel {
  const { port1, port2 }: { port1: MessagePort; port2: MessagePort } = new MessageChannel();
  serveWandb(sdk, port2 as unknown as Parameters<typeof serveWandb>[1]);
  return {
    post: (message: ToWorker) => port1.postMessage(message),
    listen: (listener) => void port1.on("message", listener),
    hold: () => undefined,
    end: async () => port1.close(),
  };
}

/** As a trainer tells its reporters. */
function told(reporters: readonly Reporter[]): RunEvents {
  const events = new RunEvents();
  for (const reporter of reporters) events.addReporter(reporter);
  return events;
}

async function makeWandbRun(sdk: WandbSdk, patience = 5000) {
  const outputDir = temporaryFolder();
  const warnings: string[] = [];
  const make = async (runName?: string) =>
    told(
      await makeTrackers(
        { ...configOf(outputDir, ["wandb"]), runName },
        {
          warn: (message) => warnings.push(message),
          env: KEY,
          findSdk: () => "sdk",
          openChannel: () => channelTo(sdk),
          patience,
        },
      ),
    );
  return { outputDir, warnings, make };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = (await work.then(
    () => new Error("nothing was refused"),
    (reason: unknown) => reason,
  )) as VlmR1Error;
  expect(error.code).toBe("ERR_CONFIG");
  return `${error.message}. ${error.hint}`;
}

describe("report_to", () => {
  const warn = () => undefined;

  test("none alone", async () => {
    expect(await makeTrackers(configOf("x", ["none"]), { warn })).toEqual([]);
    expect(await refusal(makeTrackers(configOf("x", ["none", "tensorboard"]), { warn }))).toBe(
      "report_to: expected none alone or trackers, got none, tensorboard. Leave none out, or the others.",
    );
  });

  test("tensorboard, with the options under their names in files", async () => {
    const outputDir = temporaryFolder();
    const reporters = told(await makeTrackers(configOf(outputDir, ["tensorboard", "tensorboard"]), { warn }));
    await reporters.emit("start", start(outputDir));
    const files = readdirSync(outputDir).filter((name) => name.startsWith("events.out.tfevents."));
    expect(files).toHaveLength(1);
    expect(readFileSync(join(outputDir, files[0]!), "utf8")).toContain('"learning_rate": 0.000001');
  });

  test("wandb without its package or without a key is refused before the run", async () => {
    const config = configOf("x", ["wandb"]);
    expect(await refusal(makeTrackers(config, { warn, env: KEY, findSdk: () => undefined }))).toBe(
      "report_to: wandb needs the package @wandb/sdk, which is not installed. " +
        "npm install @wandb/sdk, or report_to: tensorboard.",
    );
    const noKey = { WANDB_BASE_URL: "https://no.such.host.test" };
    expect(await refusal(makeTrackers(config, { warn, env: noKey, findSdk: () => "sdk" }))).toMatch(
      /expected an API key in WANDB_API_KEY or ~\/\.netrc, got none/,
    );
  });

  test("WANDB_MODE: disabled sends nothing, and offline says that the SDK cannot do it", async () => {
    const said: string[] = [];
    const parts = { warn: (message: string) => said.push(message), findSdk: () => undefined };
    expect(await makeTrackers(configOf("x", ["wandb"]), { ...parts, env: { WANDB_MODE: "disabled" } })).toEqual([]);
    expect(said).toEqual([]);
    expect(await makeTrackers(configOf("x", ["wandb"]), { ...parts, env: { WANDB_MODE: "offline" } })).toEqual([]);
    expect(said).toEqual([
      "WANDB_MODE=offline: @wandb/sdk keeps no runs on the disk, so nothing is written for Weights & Biases; " +
        "metrics.jsonl has all numbers",
    ]);
  });
});

describe("Weights & Biases", () => {
  test("gets a row per step, an evaluation in the row of its step, and is finished at the very end", async () => {
    const { sdk, calls } = standIn();
    const { outputDir, warnings, make } = await makeWandbRun(sdk);
    const run = await make("sushi");
    await run.emit("start", start(outputDir));
    await run.emit("eval", { step: 0, metrics: { eval_reward: 1 }, answers: [], best: false });
    await run.emit("step", step(1, { reward: 1, kl: Number.NaN }));
    await run.emit("step", step(2, { reward: 2 }));
    await run.emit("end", { status: "finished", step: 2, checkpoint: undefined });
    await run.emit("eval", { step: 2, metrics: { eval_reward: 3 }, answers: [], best: false });
    await run.emit("close", undefined);
    const id = (calls[0] as [string, { id: string }])[1].id;
    expect(id).toMatch(/^[0-9a-f]{8}$/);
    expect(calls).toEqual([
      [
        "init",
        {
          project: "vlmr1-native",
          id,
          name: "sushi",
          config: expect.objectContaining({ learning_rate: 1e-6, report_to: ["wandb"] }),
        },
      ],
      ["log", 0, { "eval/reward": 1, "train/global_step": 0 }],
      ["log", 1, { "train/reward": 1, "train/epoch": 0.25, "train/global_step": 1 }],
      ["log", 2, { "train/reward": 2, "train/epoch": 0.5, "eval/reward": 3, "train/global_step": 2 }],
      ["finish", 0],
    ]);
    expect(warnings).toEqual([]);
  });

  test("a run that goes on is a run of its own that names the earlier one", async () => {
    const { sdk, calls } = standIn();
    const { outputDir, make } = await makeWandbRun(sdk);
    const first = await make("sushi");
    await first.emit("start", start(outputDir));
    await first.emit("end", { status: "interrupted", step: 4, checkpoint: undefined });
    await first.emit("close", undefined);
    const second = await make("sushi");
    await second.emit("start", start(outputDir, 4));
    await second.emit("close", undefined);
    const [begun, , again] = calls as [string, { id: string; name: string; config: object }][];
    expect(calls[1]).toEqual(["finish", 255]);
    expect(again![1].name).toBe("sushi (from step 4)");
    expect(again![1].id).not.toBe(begun![1].id);
    expect(again![1].config).toMatchObject({ resumed_at_step: 4, resumed_from: begun![1].id });
    const kept = JSON.parse(readFileSync(join(outputDir, "wandb.json"), "utf8")) as { runs: { id: string }[] };
    expect(kept.runs.map(({ id }) => id)).toEqual([begun![1].id, again![1].id]);
  });

  test("a refused start is told once, and the run goes on", async () => {
    const { sdk } = standIn({ init: new Error("Unable to determine default entity") });
    const { outputDir, warnings, make } = await makeWandbRun(sdk);
    const run = await make();
    await run.emit("start", start(outputDir));
    await new Promise((done) => setTimeout(done, 20));
    for (const number of [1, 2, 3]) await run.emit("step", step(number, { reward: number }));
    await run.emit("close", undefined);
    expect(warnings).toEqual([
      "Weights & Biases: Unable to determine default entity; nothing more is sent, the run goes on, " +
        "and metrics.jsonl has all numbers",
    ]);
  });

  test("an end that never comes is not waited for", async () => {
    const { sdk } = standIn({ finishNever: true });
    const { outputDir, warnings, make } = await makeWandbRun(sdk, 30);
    const run = await make();
    await run.emit("start", start(outputDir));
    await run.emit("close", undefined);
    expect(warnings).toEqual([expect.stringContaining("no answer after 0.03 s")]);
  });
});

describe("the SDK's thread", () => {
  const listen = (channel: WandbChannel) =>
    new Promise<unknown[]>((done) => {
      const heard: unknown[] = [];
      channel.listen((message) => {
        heard.push(message);
        if (message.type !== "started") done(heard);
      });
    });

  test.each([
    ["module.mjs", "export const wandb = ", "; export default wandb;"],
    ["module.cjs", "const wandb = ", "; module.exports = { wandb, default: wandb };"],
  ])("loads %s", async (name, before, after) => {
    const path = join(temporaryFolder(), name);
    const sdk = "{ init: async () => ({ url: () => 'u', log() {}, finish: async () => {} }) }";
    writeFileSync(path, `${before}${sdk}${after}`);
    const channel = openWorker(path);
    const heard = listen(channel);
    channel.post({ type: "init", options: { project: "p", id: "i", name: "n", config: {} } });
    channel.post({ type: "finish", code: 0 });
    expect(await heard).toEqual([{ type: "started", url: "u" }, { type: "finished" }]);
    await channel.end();
  });

  test("what the SDK throws where nobody can catch it ends the thread alone", async () => {
    const path = join(mkdtempSync(join(temporaryFolder(), "sdk-")), "module.mjs");
    const init = "init: () => new Promise(() => setTimeout(() => { throw new Error('Failed to upsert run'); }, 1))";
    writeFileSync(path, `export default { ${init} };`);
    const channel = openWorker(path);
    const heard = listen(channel);
    channel.post({ type: "init", options: { project: "p", id: "i", name: "n", config: {} } });
    // That the thread has ended may be heard too, after its reason.
    expect((await heard)[0]).toEqual({ type: "failed", reason: "Failed to upsert run" });
    await channel.end();
  });
});

test("a tracker that fails is told once per episode and asked again", async () => {
  const told: string[] = [];
  let broken = true;
  const seen: number[] = [];
  const quiet = new QuietReporter(
    "TensorBoard",
    {
      onStep({ step: number }) {
        if (broken) throw new Error("no space left on the disk");
        seen.push(number);
      },
    },
    (message) => told.push(message),
  );
  for (const number of [1, 2, 3, 4, 5]) {
    broken = number !== 3;
    await quiet.onStep(step(number, {}));
  }
  expect(seen).toEqual([3]);
  const text = "TensorBoard: no space left on the disk; the run goes on, and metrics.jsonl has all numbers";
  expect(told).toEqual([text, text]);
});
