import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { PageData } from "../../lib/page/page-data.js";
import { serveRuns } from "../../lib/page/server/serve-runs.js";
import { type GrpoTrainerOptions, Trainer } from "../../lib/trainer/index.js";
import { command, EventLog } from "../support/event-log.js";
import { goldenPath } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, MODEL, rows, runAll, timeless } from "../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A run with a dashboard, open, of which no step is done. */
async function start(more: Partial<GrpoTrainerOptions> = {}, outputDir = newRun()) {
  const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 6, dashboard: 0, ...more });
  closing.push(() => trainer.dispose());
  trainer.pause();
  const opened = new Promise<{ url: string }>((resolve) => trainer.once("dashboard", resolve));
  const all = runAll(trainer);
  all.catch(() => {});
  const { url } = await opened;
  const log = await EventLog.open(url);
  closing.push(async () => log.close());
  return { trainer, all, url, log, outputDir };
}

describe("a run with a dashboard", () => {
  test("is paused, continued, changed and stopped by commands, and shows all of it as it comes", async () => {
    const { trainer, all, url, log, outputDir } = await start();
    await log.until(({ status }) => status === "paused");
    expect(log.data.live).toEqual({ canControl: true, learningRate: 0.5 });
    expect(log.run).toMatchObject({ step: 0, totalSteps: 6, completions: [] });
    trainer.on("step", ({ step }) => void (step === 2 && trainer.pause()));
    expect((await command(url, { action: "continue" })).status).toBe(200);
    await log.until(({ status, step }) => status === "paused" && step === 2);
    expect(log.run.steps.step).toEqual([1, 2]);
    expect(log.run.completions.map(({ step }) => step)).toEqual([...Array(16).fill(2), ...Array(16).fill(1)]);
    expect(log.run.completions[0]).toMatchObject({ question: expect.stringMatching(/^question \d+$/), pictures: [] });
    expect((await command(url, { action: "set_learning_rate", value: 0.05 })).status).toBe(200);
    await log.until(() => log.data.live?.learningRate === 0.05);
    await command(url, { action: "continue" });
    await log.until(({ step }) => step === 4);
    await command(url, { action: "stop" });
    const reports = await all;
    expect(reports.length).toBeGreaterThanOrEqual(4);
    const rates = reports.map(({ metrics }) => metrics.learning_rate as number);
    expect(rates[1]).toBeCloseTo(0.5 * (5 / 6), 12);
    expect(rates[2]).toBeCloseTo(0.05 * (4 / 6), 12);
    await log.until(({ status }) => status !== "running");
    expect(log.run.warnings.map(({ message }) => message)).toContain(
      "the learning rate is changed from 0.5 to 0.05, from step 3 on",
    );
    if (reports.length < 6) {
      expect(log.run).toMatchObject({ status: "interrupted", reason: "stopped on its dashboard" });
      expect(existsSync(checkpointFile(outputDir, reports.length, "trainer.json"))).toBe(true);
    }
    const late = await command(url, { action: "pause" });
    expect({ status: late.status, body: await late.json() }).toMatchObject({
      ...{ status: 409, body: { error: expect.stringMatching(/^the run is over: /) } },
    });
  });

  test("has the same bits as one without", async () => {
    const { trainer, all } = await start();
    trainer.continue();
    const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 6 }));
    expect((await all).map(timeless)).toEqual(expected.map(timeless));
  });

  test("shows what earlier parts of it did, in the page and to who comes later", async () => {
    const first = await start({ maxSteps: 6 });
    first.trainer.on("step", ({ step }) => void (step === 3 && first.trainer.stop()));
    first.trainer.continue();
    await first.all;
    await first.trainer.dispose();
    const { trainer, all, url, log, outputDir } = await start({ resume: true }, first.outputDir);
    await log.until(({ status, steps }) => status === "paused" && steps.step.length === 3);
    expect(log.run).toMatchObject({
      name: expect.stringMatching(/^run-\d+$/),
      status: "paused",
      step: 3,
      totalSteps: 6,
    });
    expect(log.run.completions).toHaveLength(48);
    expect(log.run.completions[0]).toMatchObject({ step: 3, question: expect.stringMatching(/^question/) });
    trainer.continue();
    await all;
    await log.until(({ step }) => step === 6);
    const late = await EventLog.open(url);
    expect(late.run.steps).toEqual(log.run.steps);
    expect(late.run.steps.step).toEqual([1, 2, 3, 4, 5, 6]);
    expect(late.run.completions).toHaveLength(96);
    late.close();
    const html = await (await fetch(url)).text();
    expect(html).toContain('"step":[1,2,3,4,5,6]');
    // The address would let who reads the run's folder steer it.
    const token = url.split("#token=")[1] as string;
    for (const name of ["config.yaml", "metrics.jsonl", "warnings.jsonl", "environment.json"]) {
      const path = join(outputDir, name);
      if (existsSync(path)) expect(readFileSync(path, "utf8")).not.toContain(token);
    }
    expect(html).not.toContain(token);
  });

  test("serves the pictures of its completions", async () => {
    const image = goldenPath("images/square.png");
    const dataset = rows(4).map((row) => ({
      ...row,
      images: [image],
      messages: [
        { role: "user" as const, content: [{ type: "image" as const }, { type: "text" as const, text: "?" }] },
      ],
    }));
    const { trainer, all, url, log } = await start({ dataset, maxSteps: 1 });
    trainer.continue();
    await all;
    await log.until(({ completions }) => completions.length > 0);
    const [picture] = log.run.completions[0]?.pictures ?? [];
    expect(picture).toBe("pictures/0");
    const response = await fetch(new URL(picture as string, url));
    expect({ status: response.status, type: response.headers.get("content-type") }).toEqual({
      ...{ status: 200, type: "image/png" },
    });
  });

  test("is closed by dispose(), also where it never opened", async () => {
    const { trainer, all, url } = await start({ maxSteps: 1 });
    trainer.continue();
    await all;
    expect((await fetch(url)).status).toBe(200);
    await trainer.dispose();
    await expect(fetch(url)).rejects.toThrow();
    const failing = new Trainer({
      model: MODEL,
      dataset: join(folder, "none.json"),
      dashboard: 0,
      outputDir: newRun(),
    });
    let address = "";
    failing.on("dashboard", (event) => {
      address = event.url;
    });
    await expect(runAll(failing)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    expect((await fetch(address)).status).toBe(200);
    await failing.dispose();
    await expect(fetch(address)).rejects.toThrow();
  });

  test("does not start where its port is taken", async () => {
    const { url } = await start();
    const port = Number(new URL(url).port);
    const second = banditRun(await banditEngine(), newRun(), { dashboard: port });
    await expect(runAll(second)).rejects.toMatchObject({ code: "ERR_PORT_IN_USE" });
  });

  test("in supervised training has no completions", async () => {
    const trainer = new Trainer({
      ...{ objective: "sft", model: MODEL, dataset: rows(8), engine: await banditEngine(), outputDir: newRun() },
      ...{ promptsPerStep: 4, maxSteps: 2, dashboard: 0 },
    });
    closing.push(() => trainer.dispose());
    await runAll(trainer);
    const log = await EventLog.open(trainer.dashboard?.url as string);
    expect(log.run).toMatchObject({ objective: "sft", status: "finished", step: 2, completions: [] });
    log.close();
  });
});

describe("a dashboard of folders", () => {
  const serve = async (folders: string[]) => {
    const served = await serveRuns(folders, { host: "127.0.0.1", port: 0, version: "1.2.3", lookMs: 20 });
    const log = await EventLog.open(served.url);
    closing.push(async () => log.close(), served.close);
    return { log, url: served.url };
  };
  const made = async (maxSteps: number) => {
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine(), outputDir, { maxSteps });
    await runAll(trainer);
    await trainer.dispose();
    return outputDir;
  };

  test("shows old runs side by side, and takes no commands", async () => {
    const folders = [await made(2), await made(3)];
    const { log, url } = await serve(folders);
    const [one, other] = (log.data as PageData).runs;
    expect(one).toMatchObject({ status: "finished", step: 2, totalSteps: 2 });
    expect(other?.steps.step).toEqual([1, 2, 3]);
    expect(log.data.live?.canControl).toBe(false);
    expect((await command(url, { action: "pause" })).status).toBe(409);
    await expect(serve([folder])).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });

  test("follows a run that is being written: lines, torn ones, and what is written anew", async () => {
    const outputDir = await made(2);
    const path = join(outputDir, "metrics.jsonl");
    const { log } = await serve([outputDir]);
    appendFileSync(path, '{"step":3,"reward":1.5}\n{"step":4,"rew');
    await log.until(({ step }) => step === 3);
    appendFileSync(path, 'ard":1.75}\n{"step":4,"eval_reward":2}\nnonsense\n');
    await log.until(({ evaluations }) => evaluations.step.length === 1);
    expect(log.run.steps.values.reward?.slice(2)).toEqual([1.5, 1.75]);
    expect(log.names).not.toContain("page page");
    // As a run does that goes on from a checkpoint.
    const kept = readFileSync(path, "utf8").split("\n").slice(0, 1);
    writeFileSync(`${path}.new`, `${kept.join("\n")}\n`);
    renameSync(`${path}.new`, path);
    await log.until(({ steps }) => steps.step.length === 1);
    appendFileSync(path, '{"step":2,"reward":0.25}\n');
    await log.until(({ steps }) => steps.step.length === 2);
    expect(log.run.steps.values.reward?.[1]).toBe(0.25);
    writeFileSync(join(outputDir, "run.json"), '{"status":"failed","step":2,"totalSteps":9}\n');
    await log.until(({ status }) => status === "failed");
    expect(log.run.totalSteps).toBe(9);
  });

  test("follows a run of another trainer through pause and end", async () => {
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 3 });
    trainer.on("step", ({ step }) => void (step === 2 && trainer.pause()));
    const all = runAll(trainer);
    while (!existsSync(join(outputDir, "metrics.jsonl"))) await sleep(5);
    const { log } = await serve([outputDir]);
    await log.until(({ status, step }) => status === "paused" && step === 2);
    trainer.continue();
    await all;
    await log.until(({ status, step }) => status === "finished" && step === 3);
    await trainer.dispose();
  });
});
