import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fieldsOf } from "../../../lib/config/fields.js";
import { grpoSchema, sftSchema } from "../../../lib/config/train-schema.js";

test.each([
  ["grpo", grpoSchema],
  ["sft", sftSchema],
] as const)(
  "what editors say of %s's options is what the schema says (else: node scripts/make-options.mjs)",
  async (objective, schema) => {
    const { optionsText } = (await import("../../../scripts/make-options.mjs" as string)) as {
      optionsText(objective: string, fields: ReturnType<typeof fieldsOf>): string;
    };
    expect(readFileSync(`lib/config/${objective}-options.ts`, "utf8")).toBe(optionsText(objective, fieldsOf(schema)));
  },
);
