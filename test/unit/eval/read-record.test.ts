import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { VlmR1Error } from "../../../lib/errors/index.js";
import { parseRecord, readRecord, recordOf } from "../../../lib/eval/index.js";
import { recorded } from "../../support/recorded.js";
import { temporaryFolder } from "../../support/temporary.js";

const two = [recorded({ id: "a", reward: 1, rewards: { content: 1 } }), recorded({ id: "b", reward: null })];
const lines = (values: readonly unknown[]) => `${values.map((value) => JSON.stringify(value)).join("\n")}\n`;
const errorOf = (text: string) => {
  try {
    parseRecord(text, "it.json");
  } catch (error) {
    if (error instanceof VlmR1Error) return { code: error.code, message: error.message, hint: error.hint };
    throw error;
  }
  return undefined;
};

test("a record comes back as it was written, as a record and as lines", async () => {
  const record = { version: 2, metrics: { eval_reward: 1, "eval_rewards/content/std": null }, answers: two };
  expect(parseRecord(JSON.stringify(record, null, 2), "it.json")).toEqual(record);
  const path = join(temporaryFolder(), "answers.jsonl");
  writeFileSync(path, `\uFEFF${lines(two).replaceAll("\n", "\r\n")}`);
  const fromLines = await readRecord(path);
  expect(fromLines.answers).toEqual(two);
  expect(fromLines.metrics).toMatchObject({ eval_reward: 1, eval_name_accuracy: 1, "eval_rewards/content/mean": 1 });
  expect(fromLines.metrics).not.toHaveProperty("eval_reward_best");
  // A single line is also a single JSON value.
  expect(parseRecord(lines(two.slice(0, 1)), "it").answers).toEqual(two.slice(0, 1));
  const several = [recorded({ id: "a", reward: 1 }), recorded({ id: "a", sample: 1, reward: 3 })];
  expect(parseRecord(lines(several), "it").metrics).toMatchObject({ eval_reward: 2, eval_reward_best: 3 });
});

test("what is not a number is null in a record", () => {
  const record = recordOf({ metrics: { eval_reward: Number.NaN, eval_format_rate: 0.5 }, answers: [] });
  expect(record).toEqual({ version: 2, metrics: { eval_reward: null, eval_format_rate: 0.5 }, answers: [] });
});

test("a file of an older version is said to be one, and how to make it anew", () => {
  const record = { scores: { reward: 1 }, answers: { a: { completion: "x", reward: 1 } } };
  const expected = {
    code: "ERR_DATA",
    message: expect.stringContaining("it.json: is of an older version"),
    hint: expect.stringContaining("eval --model MODEL --dataset DATA --answers FILE"),
  };
  expect(errorOf(JSON.stringify(record))).toEqual(expected);
  const { question, images, ...older } = two[0]!;
  expect(errorOf(lines([older, older]))).toEqual(expected);
});

test("errors name the line and what is wrong there", () => {
  expect(errorOf(`${lines(two)}{"id": `)?.message).toMatch(/^it\.json, line 3: not valid JSON: /);
  expect(errorOf(lines([two[0], { ...two[1], tokens: -1 }]))?.message).toMatch(/^it\.json, line 2: tokens: /);
  expect(errorOf(lines([two[0], two[0]]))?.message).toBe('it.json: answer 0 of row "a" is there twice');
  expect(errorOf(lines([7, two[0]]))?.message).toMatch(/^it\.json, line 1: an answer: /);
  expect(errorOf("")?.message).toBe("it.json: there are no answers in it");
  expect(errorOf('{"version": 3, "answers": []}')?.message).toContain("version 3; this program reads version 2");
  const broken = { version: 2, metrics: {}, answers: [two[0], { ...two[1], completion: 5 }] };
  expect(errorOf(JSON.stringify(broken))?.message).toMatch(/^it\.json: answers\.1\.completion: /);
});

test("a file that is not there is named", async () => {
  await expect(readRecord("nowhere.json")).rejects.toMatchObject({
    code: "ERR_NOT_FOUND",
    message: "cannot read the answers nowhere.json: there is no such file or folder",
  });
});

test("no text makes it throw anything but ERR_DATA", () => {
  const value = fc.oneof(fc.jsonValue(), fc.record({ version: fc.anything(), answers: fc.jsonValue() }));
  const text = fc.oneof(
    fc.string(),
    value.map((given) => JSON.stringify(given) ?? ""),
    fc.constant(lines(two)),
  );
  fc.assert(
    fc.property(text, fc.nat(200), (whole, cut) => {
      for (const given of [whole, whole.slice(0, cut)]) {
        const error = errorOf(given);
        if (error !== undefined) expect(error.code).toBe("ERR_DATA");
      }
    }),
  );
});
