import { VlmR1Error } from "../errors/index.js";

/** What a repository holds under one path. */
export interface RemoteFile {
  path: string;
  size: number;
  /** Name of the content in the cache, and its checksum: SHA-256 of a large file, git's SHA-1 of a small one. */
  blob: string;
}

/** "tokenizer": all but the weights. */
export type Wanted = "model" | "tokenizer";

export interface Selection {
  settings: RemoteFile[];
  weights: RemoteFile[];
  /** Names the shards where the weights are cut into several. */
  index: RemoteFile | undefined;
}

export const SINGLE_FILE = "model.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";
export const ADAPTER_FILE = "adapter_model.safetensors";

/** Of the top folder, and further templates; other folders hold the same weights in other formats. */
const SETTINGS: readonly RegExp[] = [
  /^(config|generation_config|adapter_config)\.json$/,
  /^(tokenizer.*|vocab|special_tokens_map|added_tokens)\.json$/,
  /^(merges\.txt|tokenizer\.model)$/,
  /^chat_template.*\.(jinja|json)$/,
  /^additional_chat_templates\/[^/]+\.jinja$/,
  /^(processor_config|(\w+_)?preprocessor_config)\.json$/,
];
const OTHER_WEIGHTS = /\.(bin|pt|pth|gguf|onnx|h5|msgpack|ckpt|safetensors)$/;

/** The files that a model is loaded from, once each: never the same weights in a second format. */
export function selectFiles(files: readonly RemoteFile[], wanted: Wanted, repository: string): Selection {
  const settings = files.filter(({ path }) => SETTINGS.some((pattern) => pattern.test(path)));
  if (wanted === "tokenizer") return { settings, weights: [], index: undefined };
  const find = (name: string) => files.find(({ path }) => path === name);
  const single = find(SINGLE_FILE);
  const index = single === undefined ? find(INDEX_FILE) : undefined;
  const weights = [single, find(ADAPTER_FILE)].filter((file) => file !== undefined);
  if (weights.length === 0 && index === undefined) throw noWeights(files, repository);
  return { settings, weights, index };
}

/** The shards that an index names, in its order. */
export function shardsOf(index: string, files: readonly RemoteFile[], repository: string): RemoteFile[] {
  const names = shardNames(index);
  if (names === undefined) {
    throw new VlmR1Error("ERR_MODEL", `${repository}: ${INDEX_FILE} has no weight_map from names to files`);
  }
  return names.map((name) => {
    const file = files.find(({ path }) => path === name);
    if (file !== undefined && name.endsWith(".safetensors") && !name.includes("/")) return file;
    throw new VlmR1Error(
      "ERR_MODEL",
      `${repository}: ${INDEX_FILE} names "${name}", which the repository does not hold`,
    );
  });
}

/** Undefined where the text is no index. */
export function shardNames(index: string): string[] | undefined {
  try {
    const { weight_map: map } = JSON.parse(index) as { weight_map?: unknown };
    if (typeof map !== "object" || map === null || Array.isArray(map)) return undefined;
    const names = [...new Set(Object.values(map))];
    return names.length > 0 && names.every((name) => typeof name === "string") ? names : undefined;
  } catch {
    return undefined;
  }
}

function noWeights(files: readonly RemoteFile[], repository: string): VlmR1Error {
  const others = files.map(({ path }) => path).filter((path) => OTHER_WEIGHTS.test(path));
  const held = others.length === 0 ? "it holds no weights" : `it holds ${others.slice(0, 3).join(", ")}`;
  return new VlmR1Error("ERR_MODEL", `${repository}: expected ${SINGLE_FILE} or ${INDEX_FILE}, but ${held}`, {
    hint: "Choose a repository or revision with safetensors, or load and save the model once with transformers.",
  });
}
