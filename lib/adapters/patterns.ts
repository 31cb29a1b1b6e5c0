import type { ParameterDescription } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";

/** A pattern over the names of a model's parts, and the field it came from. */
export interface NamePattern {
  text: string;
  matches(name: string): boolean;
  /** A name that is matched by its end also stands for everything below it. */
  isName: boolean;
}

const NAME = /^[\w.-]+$/;

/**
 * As PEFT has them: a name matches what is called so or ends in `.name`; anything that is no name is a regular
 * expression which must match the whole. PEFT tells the two apart by list and string; since a name holds no
 * operators of regular expressions but the dot, both mean the same here. Case counts.
 */
export function compilePattern(text: string, field: string): NamePattern {
  if (NAME.test(text)) {
    return { text, isName: true, matches: (name) => name === text || name.endsWith(`.${text}`) };
  }
  const whole = compileExpression(text, `${field}: "${text}"`);
  return { text, isName: false, matches: (name) => whole.test(name) };
}

/** A regular expression that has to match from the first character to the last. */
export function compileExpression(source: string, label: string, prefix = ""): RegExp {
  try {
    return new RegExp(`^${prefix}(?:${source})$`, "u");
  } catch (cause) {
    throw new VlmR1Error("ERR_CONFIG", `${label} is no regular expression: ${(cause as Error).message}`, {
      hint: "Give names such as q_proj, or a JavaScript regular expression (with the flag u) that matches whole names.",
      cause,
    });
  }
}

/** Both names of a linear layer, without `.weight`. */
export function moduleNames({ name, runtimeName }: Pick<ParameterDescription, "name" | "runtimeName">): string[] {
  return [moduleOf(name), moduleOf(runtimeName)];
}

/** A parameter's module: its name without the last part. */
export function moduleOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf("."));
}

/**
 * Linear layers that one of the patterns matches, in the model's order. A pattern that matches none of them is an error
 * with examples, which spares a run that trains something else than was meant.
 */
export function matchModules(
  linear: readonly ParameterDescription[],
  patterns: readonly string[],
  field: string,
): ParameterDescription[] {
  const compiled = patterns.map((text) => compilePattern(text, field));
  const found = compiled.map(({ matches }) => new Set(linear.filter((one) => moduleNames(one).some(matches))));
  requireMatches(
    compiled,
    found,
    linear.map(({ name }) => moduleOf(name)),
    field,
    "linear layer",
  );
  return linear.filter((one) => found.some((set) => set.has(one)));
}

/** Parameters that one of the patterns matches; a name may also be that of a module, with all that is in it. */
export function matchParameters(
  parameters: readonly ParameterDescription[],
  patterns: readonly string[],
  field: string,
): ParameterDescription[] {
  const compiled = patterns.map((text) => compilePattern(text, field));
  const found = compiled.map((pattern) => new Set(parameters.filter((one) => parameterMatches(pattern, one))));
  requireMatches(
    compiled,
    found,
    parameters.map(({ name }) => name),
    field,
    "parameter",
  );
  return parameters.filter((one) => found.some((set) => set.has(one)));
}

function parameterMatches({ matches, isName }: NamePattern, { name, runtimeName }: ParameterDescription): boolean {
  const names = [name, runtimeName];
  return (isName ? names.flatMap(withModules) : names).some(matches);
}

/** `a.b.c` → `a.b.c`, `a.b`, `a`. */
function withModules(name: string): string[] {
  const parts = name.split(".");
  return parts.map((_, index) => parts.slice(0, parts.length - index).join("."));
}

function requireMatches(
  patterns: readonly NamePattern[],
  found: readonly ReadonlySet<unknown>[],
  names: readonly string[],
  field: string,
  kind: string,
): void {
  const none = patterns.filter((_, index) => found[index]?.size === 0).map(({ text }) => `"${text}"`);
  if (none.length === 0) return;
  throw new VlmR1Error("ERR_CONFIG", `${field}: ${none.join(", ")} matches no ${kind} of the model`, {
    hint: `Names are such as ${examples(names).join(", ")}.`,
  });
}

/** One name of each kind: those that differ in their numbers alone are the same kind. */
function examples(names: readonly string[]): string[] {
  const kinds = new Map<string, string>();
  for (const name of names) {
    const kind = name.replace(/\d+/g, "0");
    if (!kinds.has(kind)) kinds.set(kind, name);
  }
  const all = [...kinds.values()];
  const few = 6;
  if (all.length <= few) return all;
  // Spread over the model, so that vision tower and language model both show.
  return Array.from({ length: few }, (_, index) => all[Math.floor((index * (all.length - 1)) / (few - 1))] as string);
}
