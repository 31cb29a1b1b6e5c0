import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ChatTemplate, type Message, Tokenizer } from "../../../lib/processing/index.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";

const MESSAGES: Message[] = [{ role: "user", content: [{ type: "image" }, { type: "text", text: "what?" }] }];

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = temporaryFolder();
  copyFileSync(goldenPath("qwen2_5_vl_a/tokenizer.json"), join(folder, "tokenizer.json"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

async function render(folder: string): Promise<string> {
  const template = await ChatTemplate.load(folder, await Tokenizer.load(folder));
  return template.render(MESSAGES, { addGenerationPrompt: true });
}

describe("ChatTemplate", () => {
  it("gives templates the special tokens, absent ones as nothing", async () => {
    const files = {
      "tokenizer_config.json": JSON.stringify({ eos_token: { content: "<end>" }, bos_token: null }),
      "chat_template.jinja": "[{{ bos_token }}][{{ eos_token }}]{{ add_generation_prompt }}",
    };
    expect(await render(await folderWith(files))).toBe("[][<end>]true");
  });

  it("renders pictures where they stand", () => {
    const source =
      "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<pic>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}";
    expect(new ChatTemplate(source).render(MESSAGES)).toBe("<pic>what?");
  });

  it("names what is wrong with a folder or a template", async () => {
    await expect(render(await folderWith({}))).rejects.toMatchObject({
      code: "ERR_TEMPLATE",
      hint: expect.any(String),
    });
    const broken = await folderWith({ "chat_template.jinja": "{% if %}" });
    await expect(render(broken)).rejects.toMatchObject({
      code: "ERR_TEMPLATE",
      message: expect.stringContaining("chat_template.jinja"),
    });
    const raising = new ChatTemplate("{{ raise_exception('roles must alternate') }}");
    expect(() => raising.render(MESSAGES)).toThrow(/roles must alternate/);
  });
});
