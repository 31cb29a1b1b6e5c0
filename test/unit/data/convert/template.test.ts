import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { convertSchema } from "../../../../lib/config/convert-schema.js";
import { checkTemplate, parseTemplate, renderTemplate } from "../../../../lib/data/convert/template.js";
import { loadTemplateSet, templateSetNames } from "../../../../lib/data/convert/template-sets.js";
import { VlmR1Error } from "../../../../lib/errors/index.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();
const fill = (text: string, fields: Record<string, string | undefined>) => renderTemplate(parseTemplate(text), fields);

describe("a template", () => {
  it.each([
    ["{name} {heat|number}千卡", { name: "苹果", heat: "52 大卡(每100克)" }, "苹果 52千卡"],
    ["{heat|kcal}", { heat: "218 千焦(每100克)" }, "52"],
    ["{heat|kcal}", { heat: "1,052.5 大卡" }, "1052.5"],
    ["{price|number} €", { price: "1,99" }, "1.99 €"],
    ["{price|number} €", { price: "1.234,50 €" }, "1234.5 €"],
    ["{price|number}", { price: "1,234 or 12,5" }, "1234"],
    ["{price|number}", { price: "1.234" }, "1.234"],
    ['{{"name": "{ name | upper }"}}', { name: "a" }, '{"name": "A"}'],
    ["{class|spaces|lower}", { class: "Apple_Pie" }, "apple pie"],
    ["{heat|default:unknown}", { heat: "N/A" }, "unknown"],
    ["no field", {}, "no field"],
  ])("%s", (text, fields, expected) => {
    expect(fill(text, fields)).toBe(expected);
  });

  it.each([
    ["{heat}", { heat: "N/A" }, 'heat: is "N/A"'],
    ["{heat}", { heat: "" }, "heat: is empty"],
    ["{heat}", {}, "heat: is empty"],
    ["{heat|kcal}", { heat: "暂无" }, 'heat: is "暂无"'],
    ["{heat|number}", { heat: "much" }, 'heat: expected a number, got "much"'],
    ["{list}", { list: undefined }, "list: expected a text or a number"],
  ])("%s says what a row lacks: %j", (text, fields, message) => {
    expect(() => fill(text, fields)).toThrow(expect.objectContaining({ code: "ERR_DATA", message }));
  });

  it.each(["{", "}", "a } b", "{}", "{a|}", "{a|nothing}", "{a{b}}"])("%s is refused", (text) => {
    expect(() => parseTemplate(text)).toThrow(expect.objectContaining({ code: "ERR_CONFIG" }));
  });

  it("names the columns where it has a field that there is not", () => {
    expect(() => checkTemplate(parseTemplate("{kcal}"), ["name", "heat"], "the answer")).toThrow(
      expect.objectContaining({
        code: "ERR_CONFIG",
        message: expect.stringContaining("no field {kcal}"),
        hint: "The fields here are {name}, {heat}.",
      }),
    );
  });

  it("of any text is read, or refused by an error of ours", () => {
    fc.assert(
      fc.property(fc.string(), fc.dictionary(fc.string(), fc.string()), (text, fields) => {
        try {
          fill(text, fields);
        } catch (error) {
          expect(error).toBeInstanceOf(VlmR1Error);
        }
      }),
    );
  });

  it("without braces is its own text", () => {
    const plain = fc.string().filter((text) => !/[{}]/.test(text));
    fc.assert(
      fc.property(plain, (text) => {
        expect(fill(text, {})).toBe(text);
      }),
    );
  });
});

describe("sets of templates", () => {
  it("that come with the package have six questions and an answer each", async () => {
    const names = templateSetNames();
    for (const name of names) expect(convertSchema.shape.questions.description).toContain(name);
    expect(names).toEqual(["dish-en", "dish-zh", "food-en", "food-zh", "generic-en", "generic-zh"]);
    for (const name of names) {
      const { questions, answer } = await loadTemplateSet(name);
      expect(new Set(questions.map(({ text }) => text)).size, name).toBe(6);
      expect(answer, name).toBeDefined();
    }
  });

  it("are read from files", async () => {
    const lines = join(folder, "mine.txt");
    writeFileSync(lines, "\uFEFFWhat?\r\n\n  Who is {name}?  \n");
    expect((await loadTemplateSet(lines)).questions.map(({ text }) => text)).toEqual(["What?", "Who is {name}?"]);
    const yaml = join(folder, "mine.yaml");
    writeFileSync(yaml, 'questions: ["What?"]\nanswer: "{a}"\nthink: "It is {a}."\n');
    expect(await loadTemplateSet(yaml)).toMatchObject({ answer: { text: "{a}" }, think: { text: "It is {a}." } });
  });

  it.each([
    ["food-zn", undefined, /no set or file "food-zn"/],
    ["empty.txt", " \n", /expected a question on each line/],
    ["broken.yaml", "questions: [", /not valid YAML/],
    ["none.yaml", "answer: x", /questions/],
    ["more.yaml", "questions: [x]\nsurplus: 1", /surplus/],
    ["field.txt", "{x|y}", /no filter "y"/],
  ])("are refused: %s", async (name, content, message) => {
    const path = content === undefined ? name : join(folder, name);
    if (content !== undefined) writeFileSync(path, content);
    await expect(loadTemplateSet(path)).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringMatching(message),
    });
  });
});
