import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { Engine } from "../../../lib/engine/index.js";
import { augmentPicture } from "../../../lib/processing/augment.js";
import { Processor } from "../../../lib/processing/index.js";
import { loadSharp } from "../../../lib/processing/sharp.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

test("a picture is decoded by one thread", async () => {
  sharp.concurrency(4);
  await augmentPicture(goldenPath("images/square.png"), () => 0.5);
  expect(sharp.concurrency()).toBe(1);
  // Set once: a program may have its reasons to set it again.
  sharp.concurrency(3);
  await loadSharp();
  expect(sharp.concurrency()).toBe(3);
});

test("as many pictures are decoded at a time as the engine has threads", async () => {
  const engine = await Engine.open({ addon: fakeAddon() });
  const processor = await Processor.load(goldenPath("qwen2_5_vl_a"), engine, { cacheBytes: 0 });
  const { decoding } = processor;
  expect(decoding.width).toBe(engine.threads);
  // With all turns taken a picture waits.
  const folder = temporaryFolder();
  const path = join(folder, "red.png");
  await sharp({ create: { width: 60, height: 60, channels: 3, background: "red" } }).toFile(path);
  let free: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    free = resolve;
  });
  const holders = Array.from({ length: decoding.width }, () => decoding.take(() => held));
  let done = false;
  const picture = processor.picture(path).then(() => {
    done = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(done).toBe(false);
  free?.();
  await Promise.all([...holders, picture]);
  expect(done).toBe(true);
});
