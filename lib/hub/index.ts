export type { DownloadProgress } from "./progress.js";
export { type ResolveModelOptions, resolveModel } from "./resolve-model.js";
export type { FetchOptions } from "./snapshot.js";
export { snapshotCommit } from "./snapshot-commit.js";
