/** Names of answers as tables show them: without the units that all of them end with. */
export interface ShownNames {
  /** What was left out, for the column's heading: " (without kcal)"; empty where nothing was. */
  without: string;
  show: (name: string) => string;
}

/** Most units of one set of answers, such as those of two languages. */
const UNITS = 2;
/** A last word that fewer names have may well be a part of them. */
const NAMES = 3;

/**
 * "broccoli kcal", "rice kcal", "tofu kcal" … are read more easily as broccoli, rice and tofu. A last word is taken for a
 * unit where every name ends with it, or with one of two, and where no two names would be the same without.
 */
export function shownNames(names: readonly string[]): ShownNames {
  const all = { without: "", show: (name: string) => name };
  const counts = new Map<string, number>();
  for (const name of new Set(names)) {
    const unit = lastWord(name);
    if (unit === undefined) return all;
    counts.set(unit, (counts.get(unit) ?? 0) + 1);
    if (counts.size > UNITS) return all;
  }
  if (counts.size === 0 || [...counts.values()].some((count) => count < NAMES)) return all;
  const show = (name: string) => {
    const unit = lastWord(name);
    return unit !== undefined && counts.has(unit) ? name.slice(0, -unit.length - 1) : name;
  };
  if (new Set(names.map(show)).size < new Set(names).size) return all;
  return { without: ` (without ${[...counts.keys()].join(", ")})`, show };
}

/** Undefined for a name of one word. */
function lastWord(name: string): string | undefined {
  const space = name.lastIndexOf(" ");
  return space <= 0 ? undefined : name.slice(space + 1);
}
