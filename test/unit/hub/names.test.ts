import { describe, expect, it } from "vitest";
import { parseHubName } from "../../../lib/hub/names.js";
import { parseRetryAfter } from "../../../lib/hub/patience.js";
import { resolveModel } from "../../../lib/hub/resolve-model.js";
import { goldenPath } from "../../support/golden.js";

describe("names on the hub", () => {
  it.each([
    ["Qwen/Qwen2.5-VL-3B-Instruct", undefined, "Qwen/Qwen2.5-VL-3B-Instruct", undefined],
    ["a/b@v1.0", undefined, "a/b", "v1.0"],
    ["a/b@refs/pr/3", undefined, "a/b", "refs/pr/3"],
    ["a/b", "feature/x", "a/b", "feature/x"],
    ["a/b@main", "main", "a/b", "main"],
    ["0x1/_private", undefined, "0x1/_private", undefined],
  ])("%s with revision %s", (text, given, repository, revision) => {
    expect(parseHubName(text, given)).toEqual({ repository, revision });
  });

  it.each([
    "model",
    "./org/name",
    "../name",
    "/name",
    "~/name",
    "~me/name",
    "a/b/c",
    "runs/out/",
    "runs/",
    "C:/name",
    "C:name",
    "a\\b",
    "a/b.git",
    "a/b--c",
    "a/b..c",
    "a/b-",
    "a./b",
    "a b/c",
    "@main",
    "",
    "https://huggingface.co/a/b",
  ])("%j is none", (text) => {
    expect(() => parseHubName(text)).toThrow(
      expect.objectContaining({ code: "ERR_NOT_FOUND", hint: expect.stringContaining("Qwen/") }),
    );
  });

  it.each(["", "../x", "a/../b", "/a", "a/", "a b", "a\\b", "a:b", "a\u0007", ".hidden", "a//b", "~1"])(
    "%j is no revision",
    (revision) => {
      expect(() => parseHubName("a/b", revision)).toThrow(expect.objectContaining({ code: "ERR_USAGE" }));
    },
  );

  it("refuses two revisions", () => {
    expect(() => parseHubName("a/b@v1", "v2")).toThrow(/two revisions/);
  });
});

describe("a model argument", () => {
  const folder = goldenPath("qwen2_5_vl_a");

  it("is a folder where there is one", async () => {
    expect(await resolveModel(folder)).toBe(folder);
  });

  it("refuses a revision of a folder", async () => {
    await expect(resolveModel(folder, { revision: "v1" })).rejects.toMatchObject({ code: "ERR_USAGE" });
  });

  it("refuses a file", async () => {
    await expect(resolveModel(`${folder}/config.json`)).rejects.toMatchObject({
      message: expect.stringMatching(/is a file/),
    });
  });

  it("names the folder that is not there", async () => {
    await expect(resolveModel("./nowhere")).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: expect.stringMatching(/no folder "\.\/nowhere"/),
    });
  });
});

it.each([
  [null, undefined],
  ["7", 7000],
  ["Thu, 01 Jan 1970 00:00:09 GMT", 4000],
  ["Thu, 01 Jan 1970 00:00:01 GMT", 0],
  ["soon", undefined],
])("Retry-After %s", (text, milliseconds) => {
  expect(parseRetryAfter(text, 5000)).toBe(milliseconds);
});
