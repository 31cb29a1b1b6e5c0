/** Shards of 5 GB, as transformers writes them. */
export const DEFAULT_SHARD_BYTES = 5_000_000_000;
