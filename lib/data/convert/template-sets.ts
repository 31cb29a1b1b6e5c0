import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { nearestName } from "../../config/names.js";
import { fromSystem, VlmR1Error } from "../../errors/index.js";
import { parseTemplate, type Template } from "./template.js";

/** How a row is asked about, and what its answer and its thoughts are made of. */
export interface TemplateSet {
  name: string;
  questions: readonly Template[];
  answer: Template | undefined;
  think: Template | undefined;
}

const FileShape = z.strictObject({
  questions: z.array(z.string().trim().min(1), "expected a list of questions").min(1),
  answer: z.string().optional(),
  think: z.string().optional(),
});

/** Where the sets lie that have names; part of the package. */
const FOLDER = fileURLToPath(new URL("../../../examples/templates/", import.meta.url));

/** Names of the sets that come with the package. */
export function templateSetNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => file.slice(0, -".yaml".length))
    .sort();
}

/**
 * A set by its name, or a file of one's own: YAML with `questions`, and if wanted `answer` and `think`, or a text with a
 * question on each line. Throws `ERR_CONFIG`.
 */
export async function loadTemplateSet(nameOrFile: string): Promise<TemplateSet> {
  const names = templateSetNames();
  if (names.includes(nameOrFile)) return readSet(nameOrFile, `${FOLDER}${nameOrFile}.yaml`);
  if (existsSync(nameOrFile)) return readSet(nameOrFile, nameOrFile);
  const near = nearestName(nameOrFile, names);
  throw new VlmR1Error("ERR_CONFIG", `questions: there is no set or file "${nameOrFile}"`, {
    hint: `${near === undefined ? "" : `Did you mean "${near}"? `}Sets are ${names.join(", ")}; a file has a question on each line, or is YAML.`,
  });
}

async function readSet(name: string, path: string): Promise<TemplateSet> {
  let text: string;
  try {
    text = (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
  } catch (error) {
    throw fromSystem(error, "read the question templates", path);
  }
  const { questions, answer, think } = /^\.(ya?ml|json)$/i.test(extname(path))
    ? fromYaml(text, path)
    : fromLines(text, path);
  const optional = (template: string | undefined) => (template === undefined ? undefined : parseTemplate(template));
  return { name, questions: questions.map(parseTemplate), answer: optional(answer), think: optional(think) };
}

function fromLines(text: string, path: string): z.output<typeof FileShape> {
  const questions = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (questions.length === 0) throw new VlmR1Error("ERR_CONFIG", `${path}: expected a question on each line, got none`);
  return { questions };
}

function fromYaml(text: string, path: string): z.output<typeof FileShape> {
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (cause) {
    throw new VlmR1Error("ERR_CONFIG", `${path}: not valid YAML: ${(cause as Error).message}`, { cause });
  }
  const result = FileShape.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new VlmR1Error("ERR_CONFIG", `${path}: ${issue?.path.join(".") || "the file"}: ${issue?.message}`, {
    hint: "It has a list called questions, and if wanted the texts answer and think.",
  });
}
