import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { toSnake } from "../../../lib/config/names.js";
import { builtInRewards, rewardSettings } from "../../../lib/rewards/built-in.js";
import * as rewards from "../../../lib/rewards/index.js";

const text = readFileSync(new URL("../../../docs/rewards.md", import.meta.url), "utf8");

test.each(builtInRewards)("docs/rewards.md names %s and all its settings, and code has it", (name) => {
  expect(text).toMatch(new RegExp(`^\\|.*\`${name}\`.*\\|`, "m"));
  for (const setting of Object.keys(rewardSettings(name)?.shape ?? {}))
    expect(text).toContain(`\`${toSnake(setting)}\``);
  const exported = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  expect(rewards).toHaveProperty(exported);
});
