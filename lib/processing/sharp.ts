import type sharp from "sharp";
import { VlmR1Error } from "../errors/index.js";

let loaded: Promise<typeof sharp> | undefined;

/**
 * Loaded on first use, so that what needs no pictures runs where sharp's binary is missing. Each picture gets one
 * thread, as sharp has it by default on most of Linux: several are decoded side by side, while the engine computes, and
 * a thread per core for each of them would only take its cores. The setting is the process's, sharp has no other.
 */
export function loadSharp(): Promise<typeof sharp> {
  loaded ??= load().catch((error: unknown) => {
    loaded = undefined;
    throw error;
  });
  return loaded;
}

async function load(): Promise<typeof sharp> {
  try {
    const library = (await import("sharp")).default;
    library.concurrency(1);
    return library;
  } catch (cause) {
    throw new VlmR1Error("ERR_ADDON", `sharp, which decodes pictures, does not load: ${(cause as Error).message}`, {
      hint: "Reinstall it with: npm install --include=optional sharp",
      cause,
    });
  }
}
