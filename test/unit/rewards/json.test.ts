import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { json, loadReward } from "../../../lib/rewards/index.js";
import { judged } from "../../support/rewards.js";
import { temporaryFolder } from "../../support/temporary.js";

const folder = temporaryFolder();

test.each<[string, object, string, number]>([
  ["an object", {}, '{"a": 1}', 1],
  ["a block", {}, 'So:\n```json\n{"a": 1}\n```', 1],
  ["the last block counts", {}, "```json\n{}\n```\n```json\n{\n```", 0],
  ["a block without its language", {}, "```\n[1]\n```", 1],
  ["text", {}, "hello", 0],
  ["nothing", {}, "", 0],
  ["a cut text", {}, '{"a": 1', 0],
  ["required keys", { required: "a, b" }, '{"a": 1, "b": null}', 1],
  ["a missing key", { required: ["a", "b"] }, '{"a": 1}', 0],
  ["keys of each item", { required: ["a"] }, '[{"a": 1}, {"b": 1}]', 0],
  ["an empty list has no keys", { required: ["a"] }, "[]", 0],
  ["an inherited key", { required: ["toString"] }, "{}", 0],
  ["a schema without a type", { schema: { properties: { a: { type: "number" } }, required: ["a"] } }, "{}", 0],
  ["a schema that fits", { schema: { properties: { a: { type: "number" } }, required: ["a"] } }, '{"a": 1}', 1],
  ["a wrong type", { schema: { properties: { a: { type: "number" } } } }, '{"a": "1"}', 0],
  ["draft 7", { schema: { $schema: "http://json-schema.org/draft-07/schema#", type: "array" } }, "[]", 1],
])("%s", (_, options, answer, expected) => {
  expect(judged(json(options), answer, "")).toBe(expected);
});

test("a schema by its file, relative to the configuration", async () => {
  writeFileSync(join(folder, "food.schema.json"), '{"type": "object", "required": ["kcal"]}');
  const reward = await loadReward("json?schema=food.schema.json", folder);
  expect(judged(reward, '{"kcal": 52}', "")).toBe(1);
  expect(judged(reward, '{"cal": 52}', "")).toBe(0);
});

test.each([
  ["no JSON", "{", /food/],
  ["an unknown keyword", '{"typo": "object"}', /unknown keyword/],
  ["a file that is not there", undefined, /missing|no such file/],
])("a schema that is %s is refused", async (_, text, message) => {
  if (text !== undefined) writeFileSync(join(folder, "food.json"), text);
  await expect(loadReward(`json?schema=${text === undefined ? "missing" : "food"}.json`, folder)).rejects.toThrow(
    message,
  );
});
