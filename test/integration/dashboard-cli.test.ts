import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { runCli } from "../support/cli.js";
import { command, EventLog } from "../support/event-log.js";
import { startCli, tinyRun, writeReward } from "../support/golden-run.js";
import { temporaryFolder } from "../support/temporary.js";

const folder = temporaryFolder();
const reward = writeReward(folder);
const slow = writeReward(folder, "slow", "await new Promise((done) => setTimeout(done, 50)); return 1;");
/** Waits until its file is there: no run is over before the test looks at it. */
const gated = (gate: string) =>
  writeReward(
    folder,
    `until_${gate}`,
    `const { existsSync } = await import("node:fs");
     while (!existsSync(${JSON.stringify(join(folder, `${gate}.gate`))})) await new Promise((done) => setTimeout(done, 10));
     return 1;`,
  );
const openGate = (gate: string) => writeFileSync(join(folder, `${gate}.gate`), "");
const ADDRESS = /^dashboard: (http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{43})$/m;

/** The address that a command prints, once it does. */
async function addressIn(text: () => string): Promise<string> {
  for (let tries = 0; tries < 2000; tries += 1) {
    const [, url] = ADDRESS.exec(text()) ?? [];
    if (url !== undefined) return url;
    await sleep(10);
  }
  throw new Error(`no address in: ${text()}`);
}

describe("train --dashboard", () => {
  test("ends with its run where nobody sits before it, and says so to who looks", async () => {
    const out = join(folder, "plain");
    const run = startCli(tinyRun(out, gated("plain"), "--max-steps", "4", "--dashboard", "0"));
    const log = await EventLog.open(await addressIn(run.text));
    openGate("plain");
    const { code, text } = await run.ended;
    await log.until(({ status }) => status !== "running");
    expect({ code, text: text.match(/dashboard: /g) }).toEqual({ code: 0, text: ["dashboard: "] });
    expect(log.run).toMatchObject({ status: "finished", step: 4, totalSteps: 4, name: "plain" });
    expect(log.run.completions).toHaveLength(16);
    expect(readFileSync(join(out, "config.yaml"), "utf8")).toMatch(/^dashboard: 0$/m);
  });

  test("goes on serving at a terminal until Ctrl-C, with which it ends well", async () => {
    const controller = new AbortController();
    let text = "";
    const onError = (more: string) => {
      text += more;
    };
    const args = tinyRun(join(folder, "terminal"), gated("terminal"), "--max-steps", "2", "--dashboard=0");
    const ended = runCli(args, { tty: true, signal: controller.signal, onError });
    const url = await addressIn(() => text.replaceAll("\r", "\n"));
    const log = await EventLog.open(url);
    openGate("terminal");
    while (!text.includes("stays open until Ctrl-C")) await sleep(10);
    await log.until(({ status }) => status === "finished");
    expect(log.run).toMatchObject({ status: "finished", step: 2 });
    expect((await fetch(url)).status).toBe(200);
    const late = await EventLog.open(url);
    expect(late.run.steps.step).toEqual([1, 2]);
    for (const one of [log, late]) one.close();
    controller.abort();
    expect((await ended).code).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });

  test("at a terminal ends with its run where no page is open", async () => {
    const args = tinyRun(join(folder, "alone"), reward, "--max-steps", "1", "--dashboard", "0");
    const { code, stderr } = await runCli(args, { tty: true });
    expect(code).toBe(0);
    expect(stderr).not.toContain("Ctrl-C");
  });

  test("is interrupted as any other run", async () => {
    const run = startCli(tinyRun(join(folder, "interrupted"), slow, "--max-steps", "500", "--dashboard", "0"));
    const log = await EventLog.open(await addressIn(run.text));
    await log.until(({ step }) => step >= 1);
    run.kill("SIGINT");
    const { code, text } = await run.ended;
    expect(code).toBe(130);
    expect(text).toContain("to go on: ");
    await log.until(({ status }) => status === "interrupted");
  });

  /** A run that is held, with no page open and nothing else to do. */
  const held = async (name: string) => {
    const run = startCli(tinyRun(join(folder, name), slow, "--max-steps", "500", "--dashboard", "0"));
    const url = await addressIn(run.text);
    const log = await EventLog.open(url);
    await log.until(({ step }) => step >= 1);
    expect((await command(url, { action: "pause" })).status).toBe(200);
    await log.until(({ status }) => status === "paused");
    log.close();
    await sleep(300);
    return { run, url };
  };

  test("that is paused there stays alive, can be steered on, and says how to go on when it was stopped", async () => {
    const { run, url } = await held("held");
    const step = Number(/paused after step (\d+)/.exec(run.text())?.[1]);
    expect((await command(url, { action: "continue" })).status).toBe(200);
    const log = await EventLog.open(url);
    await log.until((shown) => shown.step > step);
    log.close();
    expect((await command(url, { action: "stop" })).status).toBe(200);
    const { code, text } = await run.ended;
    expect({ code, stopped: text.includes("stopped on its dashboard") }).toEqual({ code: 0, stopped: true });
    expect(text).toContain(`to go on: vlmr1-native train --config ${join(folder, "held", "config.yaml")} --resume\n`);
  });

  test("that is paused is interrupted by Ctrl-C, behind a checkpoint", async () => {
    const { run } = await held("held-interrupted");
    run.kill("SIGINT");
    const { code, text } = await run.ended;
    expect(code).toBe(130);
    expect(text).toMatch(/interrupted after \d+ steps in .*, checkpoint /);
    expect(text).toContain("to go on: ");
  });

  test.each([
    ["told to go on", "continue", 0, "finished"],
    ["stopped", "stop", 0, "interrupted"],
    ["interrupted", "SIGINT", 130, "interrupted"],
  ])("stays paused while no page is open, until it is %s", async (name, how, expected, status) => {
    const out = join(folder, `paused ${name}`);
    const run = startCli(tinyRun(out, slow, "--max-steps", "4", "--dashboard", "0"));
    const url = await addressIn(run.text);
    const say = async (action: string) => {
      const headers = {
        "content-type": "application/json",
        authorization: `Bearer ${url.split("token=")[1]}`,
        connection: "close",
      };
      const body = JSON.stringify({ action });
      const response = await fetch(new URL("/control", url), { method: "POST", headers, body });
      expect(await response.json()).toEqual({ ok: true });
    };
    await say("pause");
    const statusOf = () => JSON.parse(readFileSync(join(out, "run.json"), "utf8")).status;
    await vi.waitFor(() => expect(statusOf()).toBe("paused"), { timeout: 20_000, interval: 20 });
    // A process that nothing keeps alive ends as soon as it has nothing to do.
    expect(await Promise.race([run.ended, sleep(700)])).toBeUndefined();
    if (how === "SIGINT") run.kill(how);
    else await say(how);
    expect((await run.ended).code).toBe(expected);
    expect(statusOf()).toBe(status);
  });

  test.each([
    ["--dashboard=70000", /dashboard \(from --dashboard\): expected at most 65535, got 70000/],
    ["--dashboard=soon", /dashboard \(from --dashboard\): expected true, false or a port from 0 to 65535, got "soon"/],
    ["--dashboard-host=", /dashboard_host \(from --dashboard-host\): expected at least 1 characters/],
  ])("refuses %s", async (flag, message) => {
    const { code, stderr } = await runCli(tinyRun(join(folder, "refused"), reward, flag));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describe("dashboard", () => {
  const run = join(folder, "old");
  beforeAll(async () => {
    expect((await runCli(tinyRun(run, reward, "--max-steps", "2"))).code).toBe(0);
  });

  test("shows old runs until Ctrl-C, with which it ends well", async () => {
    const started = startCli(["dashboard", run, join(run, "."), "--port", "0"]);
    const url = await addressIn(started.text);
    const log = await EventLog.open(url);
    expect(log.data.runs.map(({ name, step }) => [name, step])).toEqual([
      ["old (1)", 2],
      ["old (2)", 2],
    ]);
    expect(await (await fetch(url)).text()).toContain("<!doctype html>");
    started.kill("SIGINT");
    const { code, text } = await started.ended;
    expect(code).toBe(0);
    expect(text).not.toContain("interrupted");
  });

  test("refuses what is no run, no port and no address of this machine", async () => {
    const none = await runCli(["dashboard", join(folder, "nothing")]);
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining("error [ERR_NOT_FOUND]") });
    expect((await runCli(["dashboard"])).code).toBe(2);
    expect((await runCli(["dashboard", run, "--port", "x"])).code).toBe(2);
    const elsewhere = await runCli(["dashboard", run, "--host", "192.0.2.1", "--port", "0"]);
    expect(elsewhere).toMatchObject({ code: 2, stderr: expect.stringContaining("is no address of this machine") });
  });

  test("says in its help what it does", async () => {
    const { code, stdout } = await runCli(["dashboard", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("vlmr1-native dashboard runs/food runs/food-2");
    const train = (await runCli(["train", "--help"])).stdout;
    expect(train).toContain("--dashboard [port]");
    expect(train).toContain("--profile [path]");
  });
});
