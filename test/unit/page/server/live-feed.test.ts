import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { PageRun } from "../../../../lib/page/page-data.js";
import { LiveFeed } from "../../../../lib/page/server/live-feed.js";
import { PictureShelf } from "../../../../lib/page/server/picture-shelf.js";
import { PageServer } from "../../../../lib/page/server/server.js";
import { EventLog } from "../../../support/event-log.js";
import { goldenPath } from "../../../support/golden.js";
import { emptyRun } from "../../../support/page.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function open(read: () => Promise<PageRun>) {
  const said: string[] = [];
  const pictures = new PictureShelf();
  const feed = new LiveFeed({
    ...{ folder, version: "1.2.3", objective: "grpo", config: {}, read, pictures, learningRate: () => 0.5 },
    controls: {
      pause: () => void said.push("pause"),
      continue: () => void said.push("continue"),
      stop: () => void said.push("stop"),
      setLearningRate: (value) => void said.push(`rate ${value}`),
    },
  });
  const serving = { host: "127.0.0.1", port: 0, source: feed, render: async () => "", pictures };
  const server = await PageServer.open(serving);
  feed.attach(server);
  const log = await EventLog.open(server.url);
  closing.push(
    () => feed.close(),
    () => server.close(),
    async () => log.close(),
  );
  return { feed, log, said, pictures };
}

describe("a run that is followed", () => {
  test("loses nothing of what comes while its folder is read", async () => {
    let finish: (run: PageRun) => void = () => {};
    const { feed, log } = await open(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    const opening = feed.opened(2, 9, []);
    await sleep(10);
    feed.step({ step: 3, totalSteps: 9, values: { reward: 3 } });
    feed.warning("while it is read");
    await sleep(10);
    const stored = emptyRun("stored");
    stored.steps = { step: [1, 2], values: { reward: [1, 2] } };
    finish({ ...stored, status: "interrupted", step: 8, reason: "of before" });
    await opening;
    feed.step({ step: 4, totalSteps: 9, values: { reward: 4 } });
    await log.until(({ step }) => step === 4);
    expect(log.run).toMatchObject({ name: "stored", status: "running", totalSteps: 9 });
    expect(log.run.steps).toEqual({ step: [1, 2, 3, 4], values: { reward: [1, 2, 3, 4] } });
    expect(log.run.warnings).toEqual([{ step: 3, message: "while it is read" }]);
  });

  test("goes on where its folder cannot be read, and says so", async () => {
    const { feed, log } = await open(() => Promise.reject(new Error("no such thing")));
    await feed.opened(0, 9, []);
    feed.step({ step: 1, totalSteps: 9, values: {} });
    await log.until(({ step }) => step === 1);
    expect(log.run.warnings).toEqual([{ step: 0, message: "the page shows less than there is: no such thing" }]);
  });

  test("is read again when files have come that are written whole", async () => {
    let reads = 0;
    const { feed, log } = await open(async () => {
      reads += 1;
      return emptyRun(`read ${reads}`);
    });
    await feed.opened(0, 9, []);
    await log.until(({ name }) => name === "read 1");
    writeFileSync(join(folder, "before.json"), "{}");
    await log.until(({ name }) => name === "read 2");
    writeFileSync(join(folder, "after.json"), "{}");
    await feed.close();
    await log.until(({ name }) => name === "read 3");
  });

  test("tells of its progress four times in a second, and of the last", async () => {
    const { feed, log } = await open(async () => emptyRun());
    const started = performance.now();
    for (let done = 1; done <= 100; done += 1) {
      feed.at({ phase: "sampling", fraction: done / 100 });
      await sleep(5);
    }
    while (log.progress.at(-1)?.fraction !== 1) await sleep(10);
    expect(log.progress[0]?.fraction).toBe(0.01);
    expect(log.progress.length).toBeLessThanOrEqual(2 + (4 * (performance.now() - started)) / 1000);
  });

  test("leaves its pictures to pages that stay open", async () => {
    const { feed, log, pictures } = await open(async () => emptyRun());
    await feed.opened(0, 9, []);
    const url = (await pictures.add(goldenPath("images/square.png"))) as string;
    const completion = { id: "a", question: "", solution: "", completion: "b", reward: 1, rewards: {}, advantage: 0 };
    feed.completions([{ ...completion, step: 1, pictures: [url, "pictures/99"], tokens: 1, finishReason: "stop" }]);
    await log.until(({ completions }) => completions[0]?.pictures[0] === "pictures/0");
    await feed.close();
    await log.until(({ completions }) => completions[0]?.pictures[0] !== "pictures/0");
    expect(log.run.completions[0]?.pictures).toEqual([
      expect.stringMatching(/^data:image\/webp;base64,/),
      "pictures/99",
    ]);
  });

  test("takes commands until it is over", async () => {
    const { feed, said } = await open(async () => emptyRun());
    feed.controls.pause();
    feed.controls.setLearningRate(3);
    feed.ended("finished");
    expect(() => feed.controls.stop()).toThrow("the run is over: finished after step 0");
    expect(feed.page().live).toEqual({ canControl: false, learningRate: 0.5 });
    feed.status("running");
    feed.controls.stop();
    expect(said).toEqual(["pause", "rate 3", "stop"]);
  });
});
