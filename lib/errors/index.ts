export { abortReason, isAbort, throwIfAborted } from "./abort.js";
export { type ErrorCode, fromNative, fromSystem, isUsageError, usageError, VlmR1Error } from "./vlm-r1-error.js";
