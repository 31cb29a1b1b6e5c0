export * from "./config/index.js";
export * from "./data/datasets/index.js";
export * from "./engine/index.js";
export * from "./errors/index.js";
export * from "./hub/index.js";
export {
  type ComputeLossInput,
  type ComputeLossOptions,
  computeLoss,
  entropyThreshold,
  highEntropyMask,
  type LossResult,
  type TokenRows,
} from "./losses/index.js";
export * from "./processing/index.js";
export type { RewardContext, RewardFunction, RewardImage, RewardValue } from "./rewards/index.js";
export * as rewards from "./rewards/index.js";
export * from "./serve/index.js";
export * from "./trainer/index.js";
