import { execFileSync } from "node:child_process";
import { copyFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { loadConversations } from "../../../lib/data/datasets/index.js";
import { Engine } from "../../../lib/engine/index.js";
import { Processor } from "../../../lib/processing/index.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { goldenJson, goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

interface Golden {
  prompts: { id: string; text: string; prompt_token_ids: number[]; grids: number[][]; token_ids: number[] }[];
}

async function open(name = "qwen2_5_vl_a", options = {}) {
  const addon = fakeAddon();
  const processor = await Processor.load(goldenPath(name), await Engine.open({ addon }), options);
  return { processor, processed: () => addon.calls.filter(({ verb }) => verb === "processImage").length };
}

async function writePicture(path: string, size = 60): Promise<string> {
  writeFileSync(
    path,
    await sharp({ create: { width: size, height: size, channels: 3, background: "red" } })
      .png()
      .toBuffer(),
  );
  return path;
}

const question = (images: number) => [
  {
    role: "user" as const,
    content: [
      ...Array.from({ length: images }, () => ({ type: "image" as const })),
      { type: "text" as const, text: "?" },
    ],
  },
];

describe.each(["qwen2_5_vl_a", "qwen2_5_vl_b", "qwen2_vl_a", "qwen2_vl_b"])("Processor.prompt with %s", (name) => {
  it("renders, tokenizes and expands as transformers does", async () => {
    const { processor } = await open(name);
    const { rows } = await loadConversations(goldenPath("conversations.json"));
    const { prompts } = goldenJson<Golden>(`${name}/prompts.json`);
    expect(rows.map(({ id }) => id)).toEqual(prompts.map(({ id }) => id));
    for (const [index, row] of rows.entries()) {
      const expected = prompts[index];
      const prompt = await processor.prompt(row.messages, row.images);
      expect(prompt.text).toBe(expected?.text);
      expect([...prompt.tokens]).toEqual(expected?.prompt_token_ids);
      expect(prompt.images.map(({ grid }) => grid)).toEqual(expected?.grids);
      expect([...processor.answerTokens(row.solution)]).toEqual(expected?.token_ids);
    }
  });
});

describe("Processor", () => {
  it("refuses pictures and image parts that do not match", async () => {
    const { processor } = await open();
    await expect(processor.prompt(question(1), [])).rejects.toMatchObject({ code: "ERR_DATA" });
    await expect(processor.prompt(question(0), ["a.png"])).rejects.toMatchObject({ code: "ERR_DATA" });
  });

  it("refuses image marks that are written out in a text", async () => {
    const { processor } = await open();
    const messages = [{ role: "user" as const, content: "look: <|image_pad|>" }];
    await expect(processor.prompt(messages)).rejects.toMatchObject({ code: "ERR_DATA", hint: expect.any(String) });
  });

  it("takes narrower limits than the model's, and refuses senseless ones", async () => {
    const path = await writePicture(join(temporaryFolder(), "large.png"), 400);
    const { processor } = await open("qwen2_5_vl_a", { maxPixels: 56 * 56 });
    const picture = await processor.picture(path);
    expect([picture.width, picture.resizedWidth, picture.resizedHeight, picture.tokens]).toEqual([400, 56, 56, 4]);
    await expect(open("qwen2_5_vl_a", { minPixels: 9, maxPixels: 8 })).rejects.toMatchObject({ code: "ERR_CONFIG" });
  });

  it("processes a file once while it does not change, also for calls that overlap", async () => {
    const path = await writePicture(join(temporaryFolder(), "a.png"));
    const { processor, processed } = await open();
    await Promise.all([processor.prompt(question(1), [path]), processor.prompt(question(2), [path, path])]);
    expect(processed()).toBe(1);
    const { mtime } = statSync(path);
    utimesSync(path, mtime, new Date(mtime.getTime() + 5000));
    await processor.prompt(question(1), [path]);
    expect(processed()).toBe(2);
  });

  it("keeps no more pictures than its memory allows, the latest ones", async () => {
    const folder = temporaryFolder();
    const paths = await Promise.all(["a", "b", "c"].map((name) => writePicture(join(folder, `${name}.png`))));
    const [a, b, c] = paths as [string, string, string];
    const bytes = 16 * 1176 * 4;
    const { processor, processed } = await open("qwen2_5_vl_a", { cacheBytes: 2 * bytes });
    for (const path of [a, b, a, c]) await processor.picture(path);
    expect(processed()).toBe(3);
    await processor.picture(a);
    expect(processed()).toBe(3);
    await processor.picture(b);
    expect(processed()).toBe(4);
  });

  it("forgets a picture that failed, and names it", async () => {
    const path = join(temporaryFolder(), "late.png");
    const { processor } = await open();
    writeFileSync(path, "not a picture");
    await expect(processor.picture(path)).rejects.toMatchObject({ message: expect.stringContaining("late.png") });
    await writePicture(path);
    expect((await processor.picture(path)).tokens).toBe(4);
  });

  it("does not wait for a pipe that nobody writes to, nor read a device without end", async () => {
    const { processor } = await open();
    const pipe = join(temporaryFolder(), "pipe.png");
    execFileSync("mkfifo", [pipe]);
    for (const path of [pipe, "/dev/zero"]) {
      await expect(processor.picture(path)).rejects.toMatchObject({ code: "ERR_IMAGE" });
    }
  });

  it("names a picture with an impossible shape", async () => {
    const { processor } = await open();
    await expect(processor.picture(goldenPath("images/too_wide.png"))).rejects.toMatchObject({
      code: "ERR_IMAGE",
      message: expect.stringContaining("too_wide.png"),
    });
  });

  it("reads image settings in every layout", async () => {
    const limits = async (text: string, file = "preprocessor_config.json") => {
      const folder = temporaryFolder();
      for (const name of ["tokenizer.json", "chat_template.jinja", "config.json"]) {
        copyFileSync(join(dirname(goldenPath("qwen2_5_vl_a/config.json")), name), join(folder, name));
      }
      writeFileSync(join(folder, file), text);
      const { minPixels, maxPixels } = (await Processor.load(folder, await Engine.open({ addon: fakeAddon() })))
        .imageSettings;
      return [minPixels, maxPixels];
    };
    expect(await limits('{"min_pixels": 3136, "max_pixels": 12845056}')).toEqual([3136, 12845056]);
    expect(await limits('{"size": {"shortest_edge": 100, "longest_edge": 200}}')).toEqual([100, 200]);
    expect(await limits('{"image_processor": {"min_pixels": 5, "max_pixels": 6}}', "processor_config.json")).toEqual([
      5, 6,
    ]);
    expect(await limits("{}")).toEqual([56 * 56, 28 * 28 * 1280]);
    await expect(limits('{"resample": 2}')).rejects.toMatchObject({ code: "ERR_MODEL" });
    await expect(limits('{"patch_size": "14"}')).rejects.toMatchObject({
      message: expect.stringContaining("patch_size"),
    });
  });
});
