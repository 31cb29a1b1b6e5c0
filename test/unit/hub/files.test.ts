import { describe, expect, it } from "vitest";
import { type RemoteFile, selectFiles, shardsOf } from "../../../lib/hub/files.js";
import { TOKENIZER_FILES } from "../../../lib/processing/index.js";

const remote = (...paths: string[]): RemoteFile[] => paths.map((path) => ({ path, size: 1, blob: "0".repeat(40) }));
const paths = (files: readonly RemoteFile[]) => files.map(({ path }) => path);

const SETTINGS = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "vocab.json",
  "merges.txt",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
  "preprocessor_config.json",
  "video_preprocessor_config.json",
  "processor_config.json",
];
/** Of what belongs to a model's folder, nothing is left on the hub. */
const COPIED = [...TOKENIZER_FILES, "chat_template_tools.jinja", "additional_chat_templates/rag.jinja"];
const OTHERS = [
  "additional_chat_templates/README.md",
  "README.md",
  ".gitattributes",
  "pytorch_model.bin",
  "model.gguf",
  "onnx/model.onnx",
  "onnx/config.json",
  "consolidated.safetensors",
  "training_args.bin",
  "trainer_state.json",
  "flax_model.msgpack",
];

describe("the files of a repository", () => {
  it("are all that a model's folder is copied with", () => {
    const { settings } = selectFiles(remote(...OTHERS, ...COPIED), "tokenizer", "a/b");
    expect(paths(settings)).toEqual(COPIED);
  });

  it("are settings and one set of weights", () => {
    const { settings, weights, index } = selectFiles(
      remote(...OTHERS, ...SETTINGS, "model.safetensors", "model.safetensors.index.json"),
      "model",
      "a/b",
    );
    expect(paths(settings)).toEqual(SETTINGS);
    expect(paths(weights)).toEqual(["model.safetensors"]);
    expect(index).toBeUndefined();
  });

  it("are shards where there is only an index", () => {
    const files = remote(
      "config.json",
      "model.safetensors.index.json",
      "x-1.safetensors",
      "x-2.safetensors",
      "x-3.safetensors",
    );
    const { weights, index } = selectFiles(files, "model", "a/b");
    expect(weights).toEqual([]);
    expect(index?.path).toBe("model.safetensors.index.json");
    const text = JSON.stringify({ weight_map: { a: "x-3.safetensors", b: "x-1.safetensors", c: "x-3.safetensors" } });
    expect(paths(shardsOf(text, files, "a/b"))).toEqual(["x-3.safetensors", "x-1.safetensors"]);
  });

  it("are an adapter's", () => {
    const { settings, weights } = selectFiles(
      remote("adapter_config.json", "adapter_model.safetensors", "README.md"),
      "model",
      "a/b",
    );
    expect(paths([...settings, ...weights])).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });

  it("hold no weights where only the tokenizer is wanted", () => {
    const { settings, weights, index } = selectFiles(remote("tokenizer.json", "model.safetensors"), "tokenizer", "a/b");
    expect(paths(settings)).toEqual(["tokenizer.json"]);
    expect({ weights, index }).toEqual({ weights: [], index: undefined });
  });

  it("must hold safetensors", () => {
    expect(() => selectFiles(remote("config.json", "pytorch_model.bin"), "model", "a/b")).toThrow(
      expect.objectContaining({ code: "ERR_MODEL", message: expect.stringContaining("it holds pytorch_model.bin") }),
    );
    expect(() => selectFiles(remote("config.json"), "model", "a/b")).toThrow(/it holds no weights/);
  });

  it.each([
    ["no JSON", "{"],
    ["no map", "{}"],
    ["a list", '{"weight_map": []}'],
    ["nothing in it", '{"weight_map": {}}'],
    ["numbers", '{"weight_map": {"a": 1}}'],
    ["a file that is not there", '{"weight_map": {"a": "y.safetensors"}}'],
    ["a path", '{"weight_map": {"a": "../x.safetensors"}}'],
    ["a folder", '{"weight_map": {"a": "sub/x.safetensors"}}'],
    ["another format", '{"weight_map": {"a": "x.bin"}}'],
  ])("refuses an index with %s", (_, text) => {
    const files = remote("x.safetensors", "sub/x.safetensors", "../x.safetensors", "x.bin");
    expect(() => shardsOf(text, files, "a/b")).toThrow(expect.objectContaining({ code: "ERR_MODEL" }));
  });
});
