import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { buildProgram } from "../../../lib/cli/program.js";
import { normaliseFlags } from "../../../lib/config/index.js";

const DOCS = new URL("../../../docs/", import.meta.url);
const pages = readdirSync(DOCS).filter((file) => file.endsWith(".md"));
const read = (page: string) => readFileSync(new URL(page, DOCS), "utf8");

const silent = { write: () => true };
const { signal } = new AbortController();
const program = await buildProgram([], { version: "", signal, stdout: silent, stderr: silent, env: {} });
const commands = new Map(program.commands.map((command) => [command.name(), command]));

/** Flags that a page tells of outside of whole command lines are those of its commands; else of any command. */
const COMMANDS_OF: Readonly<Record<string, string[]>> = {
  "crawl.md": ["crawl"],
  "convert.md": ["convert"],
  "dashboard.md": ["dashboard", "train"],
  "evaluation.md": ["eval", "compare"],
  "generate.md": ["generate"],
  "report.md": ["report", "train"],
  "serve.md": ["serve"],
};

/** Those of `text` that none of the commands takes, in whatever spelling. */
function unknownFlags(text: string, of: readonly Command[]): string[] {
  const flags = [...text.matchAll(/(?<![\w-])(--[a-z][\w-]*)/g)].map(([, flag = ""]) => flag);
  const takes = (command: Command, flag: string) => {
    const [known] = normaliseFlags([flag], command);
    return known === "--help" || command.options.some(({ long }) => long === known);
  };
  return flags.filter((flag) => !of.some((command) => takes(command, flag)));
}

const LINE = /vlmr1-native ([a-z][a-z-]*)\b((?:\\\n|[^\n`#])*)/g;
/** Commands of other programs: scripts of the repository, npm, tensorboard, curl … */
const OTHERS = /^.*(?:npm run|npm start|npx (?!vlmr1-native)|scripts\/|tensorboard|curl|python|ssh|git|nice) .*$/gm;

test.each([...pages, "../README.md"])("docs/%s has command lines that there are", (page) => {
  const wrong: string[] = [];
  for (const [line, name = "", rest = ""] of read(page).matchAll(LINE)) {
    const command = commands.get(name);
    if (command === undefined) wrong.push(line);
    else wrong.push(...unknownFlags(rest, [command]).map((flag) => `${name} ${flag}`));
  }
  expect(wrong).toEqual([]);
});

describe.each(pages)("docs/%s", (page) => {
  const text = read(page);

  test("names flags that there are", () => {
    const own = (COMMANDS_OF[page] ?? [...commands.keys()]).map((name) => commands.get(name) as Command);
    expect(unknownFlags(text.replaceAll(OTHERS, "").replaceAll(LINE, ""), own)).toEqual([]);
  });

  test("links to what there is, also within pages", () => {
    const gone = [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)/g)].filter(([, target = "", anchor]) => {
      const url = target === "" ? new URL(page, DOCS) : new URL(target, new URL(page, DOCS));
      if (!existsSync(fileURLToPath(url))) return true;
      return anchor !== undefined && !anchors(readFileSync(url, "utf8")).includes(anchor);
    });
    expect(gone.map(([link]) => link)).toEqual([]);
  });
});

/** As GitHub makes them of headings. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("the index has a line for every page", () => {
  const listed = [...read("README.md").matchAll(/^\| \[[^\]]+\]\(([^)]+)\) \|/gm)].map(([, page]) => page);
  expect([...listed].sort()).toEqual(pages.filter((page) => page !== "README.md").sort());
});
