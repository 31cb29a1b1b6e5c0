import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadReward } from "../../../lib/rewards/index.js";
import { rewardContext } from "../../support/rewards.js";
import { temporaryFolder } from "../../support/temporary.js";
import { rows } from "../../support/training.js";

const folder = temporaryFolder();
const context = rewardContext();
const [row] = rows(1) as [ReturnType<typeof rows>[number]];

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return `./${name}`;
}

test.each<[string, string, string, string, number]>([
  [
    "a default export",
    "a.mjs",
    "export default function length(completion) { return completion.length; }",
    "length",
    3,
  ],
  ["an anonymous default export", "short.cjs", "module.exports = (completion) => completion.length;", "short", 3],
  ["an only export", "b.mjs", "export const half = (completion) => completion.length / 2;", "half", 1.5],
  [
    "a CommonJS module",
    "c.cjs",
    "module.exports = function solved(c, row) { return row.solution.length; };",
    "solved",
    41,
  ],
  ["an async one", "d.mjs", "export default async function later(c, row, { step }) { return step; }", "later", 0],
])("a file with %s", async (_, name, text, rewardName, value) => {
  const reward = await loadReward(file(name, text), folder);
  expect(reward.name).toBe(rewardName);
  expect(await reward("abc", row, context)).toBe(value);
});

test("one export of several by name", async () => {
  const path = file("several.mjs", "export const one = () => 1; export const two = () => 2; export const three = 3;");
  const reward = await loadReward(`${path}#two`, folder);
  expect([reward.name, await reward("", row, context)]).toEqual(["two", 2]);
  await expect(loadReward(path, folder)).rejects.toMatchObject({ hint: expect.stringContaining("#one") });
  await expect(loadReward(`${path}#three`, folder)).rejects.toMatchObject({ code: "ERR_REWARD" });
});

test("built-in ones by name", async () => {
  expect(await (await loadReward("format"))("<think></think><answer></answer>", row, context)).toBe(1);
  expect(await (await loadReward("content"))("<answer>apple 52</answer>", row, context)).toBe(2);
  expect(await (await loadReward("content_graded"))("<answer>apple 26</answer>", row, context)).toBeCloseTo(1.5, 12);
});

test.each([
  ["nothing", /content, content_graded, format/],
  ["toString", /content/],
  ["./missing.mjs", /import/],
])("what is not there is refused: %s", async (spec, hint) => {
  await expect(loadReward(spec, folder)).rejects.toMatchObject({
    code: "ERR_REWARD",
    hint: expect.stringMatching(hint),
  });
});

test("a file that does not parse or exports no function is named", async () => {
  await expect(loadReward(file("broken.mjs", "export default ("), folder)).rejects.toThrow(/broken\.mjs/);
  await expect(loadReward(file("empty.mjs", "export const a = 1;"), folder)).rejects.toThrow(/no function/);
});
