import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { readIfThere, readJson } from "./json-file.js";
import type { Message } from "./messages.js";
import type { Tokenizer } from "./tokenizer.js";

const NamedTemplates = z.array(z.object({ name: z.string(), template: z.string() }));
const TemplateFile = z.looseObject({ chat_template: z.union([z.string(), NamedTemplates]) });

export interface RenderOptions {
  /** End with the start of the assistant's turn. */
  addGenerationPrompt?: boolean;
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

  /** Looks in chat_template.jinja, chat_template.json, tokenizer_config.json, as transformers does. */
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

async function findTemplate(
  directory: string,
  tokenizer: Tokenizer,
): Promise<{ source: string; origin: string } | undefined> {
  const jinja = join(directory, "chat_template.jinja");
  const text = await readIfThere(jinja);
  if (text !== undefined) return { source: text, origin: jinja };
  const file = await readJson(directory, "chat_template.json", TemplateFile, "ERR_TEMPLATE");
  if (file !== undefined) return pick(file.chat_template, join(directory, "chat_template.json"));
  const inConfig = TemplateFile.safeParse({ chat_template: tokenizer.config.chat_template });
  return inConfig.success ? pick(inConfig.data.chat_template, join(directory, "tokenizer_config.json")) : undefined;
}

function pick(templates: z.output<typeof TemplateFile>["chat_template"], origin: string) {
  if (typeof templates === "string") return { source: templates, origin };
  const chosen = templates.find(({ name }) => name === "default") ?? templates[0];
  return chosen === undefined ? undefined : { source: chosen.template, origin };
}
