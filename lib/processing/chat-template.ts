import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { readIfThere, readJson } from "./json-file.js";
import type { Message } from "./messages.js";
import type { Tokenizer } from "./tokenizer.js";

const NamedTemplates = z.union([
  z.array(z.object({ name: z.string(), template: z.string() })).transform(byName),
  z.record(z.string(), z.string()),
]);
const Templates = z.union([z.string(), NamedTemplates]);
const TemplateFile = z.looseObject({ chat_template: Templates });
const ProcessorFile = z.looseObject({ chat_template: Templates.nullish() });

export interface RenderOptions {
  /** End with the start of the assistant's turn. */
  addGenerationPrompt?: boolean | undefined;
}

/** A model's chat template, parsed once. */
export class ChatTemplate {
  private readonly template: Template;

  constructor(
    source: string,
    /** Names such as `bos_token` that templates may read. */
    private readonly variables: Readonly<Record<string, unknown>> = {},
    private readonly origin = "chat template",
  ) {
    try {
      this.template = new Template(source);
    } catch (cause) {
      throw new VlmR1Error("ERR_TEMPLATE", `${origin}: not a valid template: ${(cause as Error).message}`, { cause });
    }
  }

  /** Looks where transformers' processor looks, in its order; of several templates takes the one named "default". */
  static async load(directory: string, tokenizer: Tokenizer): Promise<ChatTemplate> {
    const found = await findTemplate(directory, tokenizer);
    if (found === undefined) {
      throw new VlmR1Error("ERR_TEMPLATE", `${directory} has no chat template`, {
        hint: "Add chat_template.jinja, as the instruction-tuned version of the model has it.",
      });
    }
    const { eos_token, bos_token, pad_token, unk_token } = tokenizer.config;
    const given = Object.entries({ eos_token, bos_token, pad_token, unk_token });
    // Templates write these out, and an absent token must write nothing.
    const variables = Object.fromEntries(given.map(([name, token]) => [name, token ?? ""]));
    return new ChatTemplate(found.source, variables, found.origin);
  }

  render(messages: readonly Message[], options: RenderOptions = {}): string {
    const addGenerationPrompt = options.addGenerationPrompt ?? false;
    try {
      return this.template.render({ ...this.variables, messages, add_generation_prompt: addGenerationPrompt });
    } catch (cause) {
      throw new VlmR1Error("ERR_TEMPLATE", `${this.origin}: ${(cause as Error).message}`, { cause });
    }
  }

  /** What the template writes straight after an assistant's answer, such as `<|im_end|>\n`. */
  afterAnswer(): string {
    const answer = "ANSWER-4711";
    const rendered = this.render([
      { role: "user", content: "x" },
      { role: "assistant", content: answer },
    ]);
    const end = rendered.lastIndexOf(answer);
    return end < 0 ? "" : rendered.slice(end + answer.length);
  }
}

/** A template, or several under their names. */
type Templates = z.output<typeof Templates>;

interface Found {
  source: string;
  origin: string;
}

/** processor_config.json, chat_template.json, chat_template.jinja with additional ones, tokenizer_config.json. */
async function findTemplate(directory: string, tokenizer: Tokenizer): Promise<Found | undefined> {
  const processor = await readJson(directory, "processor_config.json", ProcessorFile, "ERR_TEMPLATE");
  if (processor?.chat_template != null) return pick(processor.chat_template, join(directory, "processor_config.json"));
  const additional = await additionalTemplates(directory);
  const legacy = await readJson(directory, "chat_template.json", TemplateFile, "ERR_TEMPLATE");
  if (legacy !== undefined) {
    if (additional.length === 0) return pick(legacy.chat_template, join(directory, "chat_template.json"));
    throw new VlmR1Error("ERR_TEMPLATE", `${directory} has chat_template.json and ${ADDITIONAL}`, {
      hint: "transformers refuses the two together: put the template of chat_template.json into chat_template.jinja.",
    });
  }
  const path = join(directory, "chat_template.jinja");
  const text = await readIfThere(path);
  if (text !== undefined) return { source: text, origin: path };
  if (additional.length > 0) return pickFile(join(directory, ADDITIONAL), additional);
  const inConfig = TemplateFile.safeParse({ chat_template: tokenizer.config.chat_template });
  return inConfig.success ? pick(inConfig.data.chat_template, join(directory, "tokenizer_config.json")) : undefined;
}

/** Folder of templates besides the default one. */
const ADDITIONAL = "additional_chat_templates";
const DEFAULT = "default";

async function additionalTemplates(directory: string): Promise<string[]> {
  const path = join(directory, ADDITIONAL);
  try {
    return (await readdir(path)).filter((name) => name.endsWith(".jinja")).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fromSystem(error, "read the folder", path);
  }
}

async function pickFile(folder: string, names: readonly string[]): Promise<Found> {
  const origin = join(folder, `${DEFAULT}.jinja`);
  const source = names.includes(`${DEFAULT}.jinja`) ? await readIfThere(origin) : undefined;
  if (source === undefined) throw noDefault(folder, names);
  return { source, origin };
}

function pick(templates: Templates, origin: string): Found {
  if (typeof templates === "string") return { source: templates, origin };
  const source = templates[DEFAULT];
  if (source === undefined) throw noDefault(origin, Object.keys(templates));
  return { source, origin };
}

function noDefault(origin: string, names: readonly string[]): VlmR1Error {
  return new VlmR1Error("ERR_TEMPLATE", `${origin}: expected a template named "${DEFAULT}", got ${names.join(", ")}`, {
    hint: "Save the template to train with as chat_template.jinja.",
  });
}

function byName(list: readonly { name: string; template: string }[]): Record<string, string> {
  return Object.fromEntries(list.map(({ name, template }) => [name, template]));
}
