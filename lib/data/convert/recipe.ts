import { VlmR1Error } from "../../errors/index.js";
import { type Profile, ROLES } from "./columns.js";
import { OWN_COLUMNS } from "./entry.js";
import type { Recipe } from "./make-rows.js";
import type { Source } from "./source.js";
import { checkTemplate, parseTemplate, type Template } from "./template.js";
import { loadTemplateSet, type TemplateSet } from "./template-sets.js";

export interface RecipeOptions {
  questions?: string | undefined;
  questionsPerRow?: number | "all" | undefined;
  answerTemplate?: string | undefined;
  think?: string | undefined;
  wrap?: "auto" | "answer" | "none" | undefined;
  keep?: readonly string[] | undefined;
  seed?: number | undefined;
}

/**
 * Decides what a source's questions and answers are made of. Throws `ERR_CONFIG` where an option does not fit its
 * columns, or nothing says what the answers are.
 */
export async function recipeFor(source: Source, profile: Profile, options: RecipeOptions): Promise<Recipe> {
  const { questionsPerRow = 1, wrap = "auto", keep, seed = 0 } = options;
  const set = await templatesFor(source, profile, options);
  const fields = fieldNames(source, profile);
  for (const question of set?.questions ?? []) checkTemplate(question, fields, "the question");
  const answer = answerFor(source, profile, options, set);
  if (answer !== undefined) checkTemplate(answer, fields, "the answer");
  const think = options.think === undefined ? set?.think : parseTemplate(options.think);
  if (think !== undefined) checkTemplate(think, fields, "the thoughts");
  if (typeof questionsPerRow === "number" && set !== undefined && questionsPerRow > set.questions.length) {
    throw new VlmR1Error(
      "ERR_CONFIG",
      `questions_per_row: expected at most ${set.questions.length}, as ${set.name} has, got ${questionsPerRow}`,
    );
  }
  checkKept(source, keep);
  const wrapped = wrap === "auto" ? !profile.conversations : wrap === "answer";
  return { questions: set?.questions, answer, think, wrap: wrapped, questionsPerRow, keep, seed };
}

/** What templates and other options may name: the columns, and the roles that one of them has. */
export function fieldNames({ columns }: Source, { roles, conversations }: Profile): string[] {
  const named = ROLES.filter((role) => role !== "image" && roles[role] !== undefined && !columns.includes(role));
  return [...columns, ...named, ...(conversations && !columns.includes("answer") ? ["answer"] : [])];
}

/** Undefined where rows have questions of their own. */
async function templatesFor(
  { file }: Source,
  { conversations, roles, questions }: Profile,
  options: RecipeOptions,
): Promise<TemplateSet | undefined> {
  if (conversations) {
    if (options.questions === undefined) return undefined;
    throw new VlmR1Error("ERR_CONFIG", `questions: the rows of ${file} are conversations and have their own`, {
      hint: "Leave --questions out; --answer-template and --think work on the last answer, as {answer}.",
    });
  }
  if (options.questions !== undefined) return loadTemplateSet(options.questions);
  return roles.question === undefined ? loadTemplateSet(questions) : undefined;
}

function answerFor(
  { file, columns }: Source,
  { conversations, roles }: Profile,
  { answerTemplate }: RecipeOptions,
  set: TemplateSet | undefined,
): Template | undefined {
  if (answerTemplate !== undefined) return parseTemplate(answerTemplate);
  if (conversations || roles.answer !== undefined) return undefined;
  if (set?.answer !== undefined && set.answer.text !== "{answer}") return set.answer;
  throw new VlmR1Error("ERR_CONFIG", `nothing says what the answers of ${file} are`, {
    hint: `Its columns are ${columns.join(", ")}: name one with --columns answer=…, or write --answer-template "{…}".`,
  });
}

function checkKept({ file, columns }: Source, keep: readonly string[] | undefined): void {
  for (const name of keep ?? []) {
    if (OWN_COLUMNS.has(name)) {
      throw new VlmR1Error("ERR_CONFIG", `keep: ${name} is a field of every row of the output already`);
    }
    if (columns.includes(name)) continue;
    throw new VlmR1Error("ERR_CONFIG", `keep: ${file} has no column "${name}"`, {
      hint: `Its columns are ${columns.join(", ")}.`,
    });
  }
}
