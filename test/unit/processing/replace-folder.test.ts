import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { replaceFolder } from "../../../lib/processing/index.js";

const INDEX = "model.safetensors.index.json";
const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "replace-"));
});
afterAll(() => rm(root, { recursive: true }));

function writer(names: string[], text: string) {
  return async (folder: string) => {
    for (const name of names) await writeFile(join(folder, name), text);
  };
}

const texts = async (folder: string) =>
  Object.fromEntries(
    await Promise.all((await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name), "utf8")])),
  );

describe("replacing a folder", () => {
  test("keeps what is not of the model, and removes weights of the save before", async () => {
    const target = join(root, "kept");
    await replaceFolder(target, writer(["config.json", INDEX, ...SHARDS], "old"));
    await writeFile(join(target, "notes.md"), "mine");
    await replaceFolder(target, writer(["config.json", "model.safetensors"], "new"));
    expect(await texts(target)).toEqual({ "config.json": "new", "model.safetensors": "new", "notes.md": "mine" });
    await replaceFolder(target, writer(["config.json", INDEX, ...SHARDS], "newest"));
    expect(Object.keys(await texts(target)).sort()).toEqual(["config.json", ...SHARDS, INDEX, "notes.md"].sort());
  });

  test("stopped half way leaves no index over a mixture of old and new shards", async () => {
    const target = join(root, "stopped");
    await replaceFolder(target, writer([INDEX, ...SHARDS], "old"));
    const [first = "", second = ""] = SHARDS;
    // A file cannot be renamed over a folder that is not empty.
    await rm(join(target, second));
    await mkdir(join(target, second, "x"), { recursive: true });
    await expect(replaceFolder(target, writer([INDEX, ...SHARDS], "new"))).rejects.toMatchObject({
      code: "ERR_IO",
      hint: expect.stringContaining(".writing-stopped"),
    });
    expect(await readdir(target)).not.toContain(INDEX);
    expect(await readFile(join(target, first), "utf8")).toBe("new");
    // Nothing of what was written is lost.
    expect(await readdir(join(root, ".writing-stopped"))).toEqual(expect.arrayContaining([second, INDEX]));
  });

  test("that cannot be written leaves nothing behind", async () => {
    const target = join(root, "failed");
    const failing = async (folder: string) => {
      await writeFile(join(folder, "half"), "");
      throw new Error("no more");
    };
    await expect(replaceFolder(target, failing)).rejects.toThrow("no more");
    expect((await readdir(root)).filter((name) => name.includes("failed"))).toEqual([]);
  });

  test("that was not there makes it at once", async () => {
    const target = join(root, "fresh");
    await replaceFolder(target, writer(["a"], "text"));
    expect(await texts(target)).toEqual({ a: "text" });
  });
});
