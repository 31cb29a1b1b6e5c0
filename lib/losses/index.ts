export { clipMetrics } from "./clip-metrics.js";
export { type ComputeLossInput, type ComputeLossOptions, computeLoss, type LossResult } from "./compute-loss.js";
export { entropyThreshold, highEntropyMask } from "./entropy-mask.js";
export { lossSettings } from "./loss-options.js";
export type { TokenRows } from "./token-rows.js";
