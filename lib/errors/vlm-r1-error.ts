/** Codes that this package throws. Native errors keep theirs, hence the open end. */
export type ErrorCode =
  | "ERR_USAGE"
  | "ERR_CONFIG"
  | "ERR_ADDON"
  | "ERR_STATE"
  | "ERR_ABORTED"
  | "ERR_ARGUMENT"
  | "ERR_SHAPE"
  | "ERR_CHECKPOINT"
  | "ERR_OUT_OF_MEMORY"
  | "ERR_DEVICE"
  | "ERR_NOT_FOUND"
  | "ERR_IO"
  | "ERR_MODEL"
  | "ERR_TOKENIZER"
  | "ERR_TEMPLATE"
  | "ERR_IMAGE"
  | "ERR_DATA"
  | "ERR_REWARD"
  | "ERR_CALLBACK"
  | "ERR_NETWORK"
  | "ERR_OFFLINE"
  | "ERR_ACCESS"
  | "ERR_CHECKSUM"
  | "ERR_INTERNAL"
  | (string & {});

export interface VlmR1ErrorOptions {
  /** What to do next, in one or two sentences. */
  hint?: string | undefined;
  cause?: unknown;
}

/**
 * The one error type of this package. `code` is for programs; `message` says what was expected and what came;
 * `hint` says what to do next.
 */
export class VlmR1Error extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: VlmR1ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "VlmR1Error";
    this.code = code;
    this.hint = options.hint;
  }
}

/** A mistake in how a command was called; the CLI ends with exit code 2. */
export function usageError(message: string, hint?: string): VlmR1Error {
  return new VlmR1Error("ERR_USAGE", message, { hint });
}

export function isUsageError(error: unknown): boolean {
  return error instanceof VlmR1Error && (error.code === "ERR_USAGE" || error.code === "ERR_CONFIG");
}

const NATIVE_HINTS: Readonly<Record<string, string>> = {
  ERR_OUT_OF_MEMORY:
    "Lower num_generations, max_completion_length, max_pixels or the micro-batch size, or turn gradient_checkpointing on; " +
    "`vlmr1-native estimate`, with the same options, says what each of them saves.",
  ERR_CHECKPOINT: "Check that the folder is a complete Hugging Face checkpoint (config.json and *.safetensors).",
};

/** Wraps what the addon threw: the same code and message, a hint where one is known. */
export function fromNative(error: unknown): VlmR1Error {
  if (error instanceof VlmR1Error) return error;
  const code = codeOf(error) ?? "ERR_INTERNAL";
  const message = error instanceof Error ? error.message : String(error);
  return new VlmR1Error(code, message, { hint: NATIVE_HINTS[code], cause: error });
}

const SYSTEM_REASONS: Readonly<Record<string, [ErrorCode, string]>> = {
  ENOENT: ["ERR_NOT_FOUND", "there is no such file or folder"],
  ENOTDIR: ["ERR_NOT_FOUND", "a part of the path is not a folder"],
  EISDIR: ["ERR_IO", "it is a folder, not a file"],
  EACCES: ["ERR_IO", "permission denied"],
  EPERM: ["ERR_IO", "operation not permitted"],
  ENOSPC: ["ERR_IO", "no space left on the disk"],
  EDQUOT: ["ERR_IO", "the quota of the disk is used up"],
  EFBIG: ["ERR_IO", "the file would be larger than allowed"],
  EROFS: ["ERR_IO", "the file system is read-only"],
};

/** Turns an error of `node:fs` into one that says what was being done to which file. */
export function fromSystem(error: unknown, what: string, path: string, hint?: string): VlmR1Error {
  if (error instanceof VlmR1Error) return error;
  const [code, reason] = systemReason(error);
  return new VlmR1Error(code, `cannot ${what} ${path}: ${reason}`, { hint, cause: error });
}

function systemReason(error: unknown): [ErrorCode, string] {
  const code = codeOf(error) ?? "";
  // So Node says of a folder to be made with all above it, where the file system is read-only.
  if (code === "ENOENT" && (error as { syscall?: unknown }).syscall === "mkdir") {
    return ["ERR_IO", "no folder can be made there; the file system may be read-only"];
  }
  return SYSTEM_REASONS[code] ?? ["ERR_IO", error instanceof Error ? error.message : String(error)];
}

function codeOf(error: unknown): string | undefined {
  const code = typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}
