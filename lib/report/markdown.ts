import type { CompletionRecord } from "./reporter.js";

/** Completions on a page: as many as one reads. */
const SHOWN = 4;

/** The first completions of a step, with what their rewards say. */
export function completionsMarkdown(completions: readonly CompletionRecord[]): string {
  return completions.slice(0, SHOWN).map(completionMarkdown).join("\n\n---\n\n");
}

function completionMarkdown({ id, completion, solution, rewards, advantage, tokens }: CompletionRecord): string {
  const scores = Object.entries(rewards).map(([name, value]) => `${name} ${value === null ? "–" : rounded(value)}`);
  const about = [...scores, `advantage ${rounded(advantage)}`, `${tokens} tokens`].join(", ");
  return `**${inline(id)}**: ${inline(about)}\n\n${fenced(completion)}\n\nexpected:\n\n${fenced(solution)}`;
}

export function jsonMarkdown(value: object): string {
  return fenced(JSON.stringify(value, undefined, 2), "json");
}

/** A fence that is longer than any in the text. */
function fenced(text: string, language = ""): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

/** Text that Markdown leaves alone. */
function inline(text: string): string {
  return text.replace(/[\\`*_{}[\]<>()#+\-.!|~]/g, "\\$&").replace(/\s+/g, " ");
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}
