import { VlmR1Error } from "../../errors/index.js";
import type { Source } from "./source.js";

export const ROLES = ["image", "question", "answer", "think", "id"] as const;
export type Role = (typeof ROLES)[number];

/** Which columns hold what; pictures may be in several. */
export interface Roles {
  image: readonly string[];
  question?: string | undefined;
  answer?: string | undefined;
  think?: string | undefined;
  id?: string | undefined;
}

/** What is known of a source by its columns. */
export interface Profile {
  roles: Roles;
  /** Questions unless told otherwise, where no column has them. */
  questions: string;
  /** The rows are conversations already. */
  conversations: boolean;
}

/** Names that columns often have, the likeliest first. */
const USUAL: Readonly<Record<Role, readonly string[]>> = {
  image: ["image_path", "images", "image", "picture", "img", "photo", "file_name", "filename", "path"],
  question: ["question", "problem", "query", "prompt", "instruction"],
  answer: ["answer", "solution", "label", "caption", "text", "class"],
  think: ["think", "thinking", "reasoning", "rationale"],
  id: ["id", "question_id", "uid"],
};

/**
 * Reads `--columns image=photo answer=label`. Several columns of pictures are parted by commas. Throws `ERR_CONFIG` for
 * what is no role.
 */
export function parseColumns(assignments: readonly string[]): Partial<Record<Role, readonly string[]>> {
  const given: Partial<Record<Role, readonly string[]>> = {};
  for (const assignment of assignments) {
    const split = assignment.indexOf("=");
    const role = assignment.slice(0, Math.max(0, split)).trim();
    if (!isRole(role) || assignment.slice(split + 1).trim() === "") {
      throw new VlmR1Error("ERR_CONFIG", `columns: expected role=column, got "${assignment}"`, {
        hint: `Roles are ${ROLES.join(", ")}; for example --columns image=photo answer=label.`,
      });
    }
    if (given[role] !== undefined) throw new VlmR1Error("ERR_CONFIG", `columns: ${role} is given twice`);
    const names = assignment.slice(split + 1);
    given[role] = role === "image" ? names.split(",").map((name) => name.trim()) : [names.trim()];
  }
  return given;
}

function isRole(name: string): name is Role {
  return (ROLES as readonly string[]).includes(name);
}

/** Tells by the columns what a source is, and which column has what. Throws `ERR_CONFIG` for columns there are not. */
export function profileOf(source: Source, given: Partial<Record<Role, readonly string[]>>): Profile {
  const { columns, format, file } = source;
  for (const [role, names] of Object.entries(given)) {
    const unknown = names.find((name) => !columns.includes(name));
    if (unknown !== undefined) {
      throw new VlmR1Error("ERR_CONFIG", `columns: ${file} has no column "${unknown}" for ${role}`, {
        hint: `Its columns are ${columns.join(", ")}.`,
      });
    }
  }
  const conversations = columns.includes("conversations");
  const usual = (role: Role) => given[role]?.[0] ?? USUAL[role].find((name) => columns.includes(name));
  const isFood = columns.includes("name") && columns.includes("heat") && !columns.includes("answer");
  const answer = isFood ? given.answer?.[0] : usual("answer");
  const id = usual("id");
  const base = { question: usual("question"), answer, think: given.think?.[0] ?? usual("think"), id };
  if (format === "folders") return { roles: { ...base, image: ["file"] }, questions: "generic-en", conversations };
  // Rows of one file may have one picture or several.
  const own = conversations ? ["image", "images"].filter((name) => columns.includes(name)) : [];
  if (given.image === undefined && own.length > 0) {
    return { roles: { ...base, image: own }, questions: "generic-en", conversations };
  }
  const image = given.image ?? USUAL.image.filter((name) => columns.includes(name)).slice(0, 1);
  return { roles: { ...base, image }, questions: usualQuestions(columns, isFood), conversations };
}

/** A crawler's list of foods, a list of dishes with their answers, anything else. */
function usualQuestions(columns: readonly string[], isFood: boolean): string {
  if (isFood) return "food-zh";
  return columns.includes("answer") && columns.includes("image_url") ? "dish-zh" : "generic-en";
}
