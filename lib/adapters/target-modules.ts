import type { ModelDescription } from "../engine/index.js";
import { moduleOf } from "./patterns.js";

/**
 * Entries for PEFT's `target_modules` that name these modules (as in memory) and no others. PEFT matches the ends of
 * names and looks at every module, containers and convolutions too: `proj` would also be the patch embedding, `0` every
 * first layer. So each module gets its shortest end that fits nothing else but modules of the list.
 */
export function targetModules(modules: readonly string[], model: ModelDescription): string[] {
  const wanted = new Set(modules);
  const others = [...allModules(model)].filter((name) => !wanted.has(name));
  const taken = new Set(others.flatMap(ends));
  const entries = modules.map((name) => ends(name).find((end) => !taken.has(end)) ?? name);
  return [...new Set(entries)];
}

/** For each module its shortest end that no other module of the model has: a key for rank and alpha patterns. */
export function ownEnds(modules: readonly string[], model: ModelDescription): Map<string, string> {
  const count = new Map<string, number>();
  for (const name of allModules(model)) for (const end of ends(name)) count.set(end, (count.get(end) ?? 0) + 1);
  return new Map(modules.map((name) => [name, ends(name).find((end) => count.get(end) === 1) ?? name]));
}

/** Every module that holds a parameter somewhere, by the name that transformers gives it in memory. */
function allModules({ parameters }: ModelDescription): Set<string> {
  return new Set(parameters.flatMap(({ runtimeName }) => starts(moduleOf(runtimeName))));
}

/** `a.b.c` → `a`, `a.b`, `a.b.c`. */
function starts(name: string): string[] {
  const parts = name.split(".");
  return parts.map((_, index) => parts.slice(0, index + 1).join("."));
}

/** `a.b.c` → `c`, `b.c`, `a.b.c`. */
function ends(name: string): string[] {
  const parts = name.split(".");
  return parts.map((_, index) => parts.slice(parts.length - 1 - index).join("."));
}
