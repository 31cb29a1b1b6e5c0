import { type Context, createContext, Script } from "node:vm";
import type { VlmR1Error } from "../../errors/index.js";

const CALL = new Script("work()");
let context: Context | undefined;

/**
 * Runs `work`, and stops it in the middle when it takes longer: a hostile expression or page can keep a parser busy for
 * years, and nothing else would run meanwhile, Ctrl-C included. May be nested.
 */
export function withTimeLimit<T>(milliseconds: number, work: () => T, tooLong: () => VlmR1Error): T {
  context ??= createContext({});
  // Read as the script begins, so that a nested call may set another one.
  context.work = work;
  try {
    return CALL.runInContext(context, { timeout: Math.ceil(milliseconds) }) as T;
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") throw tooLong();
    throw error;
  } finally {
    context.work = undefined;
  }
}
