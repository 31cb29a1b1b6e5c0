// Writes lib/config/grpo-options.ts and sft-options.ts: the options of the Trainer with their descriptions as TSDoc, for
// editors, which do not see what the schema says. A test holds them to the schema. Usage: node scripts/make-options.mjs
import { writeFile } from "node:fs/promises";
import { fileURLToPath, pathToFileURL } from "node:url";

const WIDTH = 116;

/** @param {{ key: string, description: string, defaultValue: unknown, required: boolean, aliases: string[] }[]} fields */
export function optionsText(objective, fields) {
  const name = objective[0].toUpperCase() + objective.slice(1);
  return [
    "// Made by scripts/make-options.mjs from the schema: change the descriptions there.",
    `import type { ${name}Input } from "./train-schema.js";`,
    "",
    `/** Options of \`${objective === "grpo" ? "train" : "sft"}\` and of the \`Trainer\`; checked by the schema of the same names. */`,
    `export interface ${name}Options {`,
    ...fields.flatMap((field) => [
      ...comment(describe(field)),
      `  ${field.key}${field.required ? "" : "?"}: ${name}Input["${field.key}"];`,
    ]),
    "}",
    "",
  ].join("\n");
}

function describe({ description, defaultValue, aliases }) {
  const sentence = description.charAt(0).toUpperCase() + description.slice(1);
  const shown = defaultValue === undefined ? "" : ` Default: ${JSON.stringify(defaultValue)}.`;
  const also = aliases.length === 0 ? "" : ` Also ${aliases.join(", ")} in files and flags.`;
  return `${sentence}.${shown}${also}`.replaceAll("*/", "*\\/");
}

function comment(text) {
  if (text.length + 8 <= WIDTH + 4) return [`  /** ${text} */`];
  const lines = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < WIDTH - 5) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return ["  /**", ...lines.map((line) => `   * ${line}`), "   */"];
}

async function main() {
  const { fieldsOf } = await import("../dist/config/fields.js");
  const { grpoSchema, sftSchema } = await import("../dist/config/train-schema.js");
  for (const [objective, schema] of Object.entries({ grpo: grpoSchema, sft: sftSchema })) {
    const path = fileURLToPath(new URL(`../lib/config/${objective}-options.ts`, import.meta.url));
    await writeFile(path, optionsText(objective, fieldsOf(schema)));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
