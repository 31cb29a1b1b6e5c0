import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { VlmR1Error } from "../../../lib/errors/index.js";
import * as rewards from "../../../lib/rewards/index.js";
import { loadReward } from "../../../lib/rewards/index.js";
import { judged, rewardContext, tokensOf } from "../../support/rewards.js";
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
  await expect(loadReward("./gone.mjs", folder)).rejects.toThrow(/gone\.mjs: there is no such file$/);
  await expect(loadReward(file("empty.mjs", "export const a = 1;"), folder)).rejects.toThrow(/no function/);
});

describe("a spec with settings", () => {
  const cosine = async (spec: string, answer: string, length: number) =>
    judged(await loadReward(spec), answer, "12", {}, { tokens: tokensOf(length) });

  test("in snake_case or camelCase", async () => {
    expect(await cosine("cosine?max_len=10&min_value_wrong=-2", "13", 0)).toBe(-2);
    expect(await cosine("cosine?maxLen=10&max-value-wrong=0", "13", 10)).toBe(0);
    expect(await cosine("cosine?max_len=10&reward=numeric", "twelve: 12", 0)).toBe(1);
  });

  test("with %-escapes, lists and switches", async () => {
    const format = await loadReward("format?tags=think%2Canswer&once");
    expect(format("<think></think><answer></answer>", row, context)).toBe(1);
    expect(format("<think></think><answer></answer><answer></answer>", row, context)).toBe(0);
    const other = await loadReward("format?tags=plan,code,answer");
    expect(other("<plan>a</plan>\n<code>b</code><answer>c</answer>", row, context)).toBe(1);
    expect(other("<code>b</code><plan>a</plan><answer>c</answer>", row, context)).toBe(0);
  });

  test.each<[string, RegExp, RegExp]>([
    ["cosine?max_length=10", /unknown setting "max_length"/, /Did you mean "max_len"/],
    ["format?tag=think", /unknown setting "tag"/, /tags/],
    ["ratio?x=1", /unknown setting "x"/, /has no settings/],
    ["cosine?max_len=long", /max_len.*number.*long/, /max_len/],
    ["cosine?max_len=10&max_len=11", /twice/, /^$/],
    ["cosine?reward=acuracy", /no reward "acuracy"/, /accuracy/],
    ["iou?answer_space=pixels", /answer_space.*processed/, /truth_space/],
    ["iou?threshold=2", /^reward iou: threshold: expected at most 1, got 2$/, /threshold/],
    ["judge", /^reward judge: model: must be given$/, /base_url.*judge\?name=value/],
    ["acuracy?x=1", /no reward "acuracy"/, /Did you mean "accuracy"/],
    ["format?tags=a%b", /%-escapes/, /%25/],
    ["format?tags=", /names of tags/, /^$/],
    ["./a.mjs?x=1", /no settings/, /#name/],
  ])("%s is refused", async (spec, message, hint) => {
    const error = (await loadReward(spec, folder).catch((caught: unknown) => caught)) as VlmR1Error;
    expect([error.code, error.message, error.hint ?? ""]).toEqual([
      "ERR_REWARD",
      expect.stringMatching(message),
      expect.stringMatching(hint),
    ]);
  });

  test("settings in code are checked too", () => {
    expect(() => rewards.cosine({ maxLen: 1.5 })).toThrowError(/whole number/);
    expect(() => rewards.iou({ treshold: 0.5 } as object)).toThrowError(/unknown setting "treshold"/);
  });
});
