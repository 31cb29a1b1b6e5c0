export { type ContentOptions, content } from "./content.js";
export { format } from "./format.js";
export { ratio } from "./levenshtein.js";
export { named } from "./named.js";
export { parseNumbers, removeNumbers } from "./numbers.js";
export { builtInRewards, loadReward } from "./registry.js";
export type { RewardContext, RewardFunction, RewardValue } from "./types.js";
