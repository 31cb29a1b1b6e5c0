import { describe, expect, it } from "vitest";
import { parseConfig, parseSize } from "../../../lib/config/index.js";
import { grpoSchema } from "../../../lib/config/train-schema.js";

describe("sizes", () => {
  it.each([
    ["5GB", 5e9],
    ["500mb", 5e8],
    ["1.5 KB", 1500],
    ["2GiB", 2 ** 31],
    ["1000000", 1e6],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(["", "GB", "5TB", "-1", "1e9", "0GB", 0])("%s is none", (value) => {
    const options = { model: "m", dataset: "d", max_shard_size: value };
    expect(() => parseConfig(grpoSchema, options)).toThrow(/max_shard_size.*5GB, 500MB/);
  });

  it("are written as transformers writes them, with its default", () => {
    expect(parseConfig(grpoSchema, { model: "m", dataset: "d" }).maxShardSize).toBe("5GB");
    expect(parseConfig(grpoSchema, { model: "m", dataset: "d", maxShardSize: 1000 }).maxShardSize).toBe("1000");
  });
});
