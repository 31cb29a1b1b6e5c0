/** Characters of what a client sent that are sent back, and written into logs. */
const LONGEST = 60;
const MOST_ITEMS = 8;
const DEEPEST = 4;

/** The beginning of a client's text: as long as a body may be, an answer and a log must not become. */
export function excerpt(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 3)}…` : text;
}

/** The beginning of a client's value as JSON; looks no further into it than is shown, however deep or large it is. */
export function shown(value: unknown): string {
  return excerpt(JSON.stringify(shortened(value, DEEPEST)) ?? String(value));
}

function shortened(value: unknown, depth: number): unknown {
  if (typeof value === "string") return value.slice(0, LONGEST);
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "…";
  if (Array.isArray(value)) return value.slice(0, MOST_ITEMS).map((item) => shortened(item, depth - 1));
  const fields = Object.entries(value).slice(0, MOST_ITEMS);
  return Object.fromEntries(fields.map(([name, field]) => [name.slice(0, LONGEST), shortened(field, depth - 1)]));
}
