import { createContext, Script } from "node:vm";
import type { VlmR1Error } from "../../errors/index.js";

const CALL = new Script("work()");

/**
 * Runs `work`, and stops it in the middle when it takes longer: a hostile expression or page can keep a parser busy for
 * years, and nothing else would run meanwhile, Ctrl-C included. May be nested.
 */
export function withTimeLimit<T>(milliseconds: number, work: () => T, tooLong: () => VlmR1Error): T {
  try {
    return CALL.runInContext(createContext({ work }), { timeout: Math.ceil(milliseconds) }) as T;
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") throw tooLong();
    throw error;
  }
}
