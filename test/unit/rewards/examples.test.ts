import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test, vi } from "vitest";
import { loadReward } from "../../../lib/rewards/index.js";
import { PICTURE, rewardContext, rewardRow } from "../../support/rewards.js";
import { temporaryFolder } from "../../support/temporary.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const folder = temporaryFolder();

afterEach(() => {
  vi.unstubAllEnvs();
});

function tsc(...args: string[]): string {
  const run = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", ...args], {
    cwd: root,
    encoding: "utf8",
  });
  return run.stdout + run.stderr;
}

test("the examples' types hold, in JSDoc and in TypeScript", () => {
  expect(tsc("-p", "examples/rewards", "--noEmit", "--pretty", "false")).toBe("");
});

test("keywords: the share of the row's words that are said", async () => {
  const reward = await loadReward("examples/rewards/keywords.mjs", root);
  expect(reward.name).toBe("keywords");
  const score = (raw: Record<string, unknown>) => reward("A Red apple", rewardRow("", raw), rewardContext());
  expect(score({ keywords: ["red", "Apple", "pear", "green"] })).toBe(0.5);
  expect(score({ keywords: [] })).toBeNull();
  expect(score({})).toBeNull();
});

test("service: compiled, it asks the service and passes the signal on", async () => {
  const file = join(folder, "service.mts");
  copyFileSync(join(root, "examples/rewards/service.mts"), file);
  expect(tsc("--ignoreConfig", "--noCheck", "--module", "nodenext", "--target", "es2022", file)).toBe("");
  const reward = await loadReward(`${folder}/service.mjs`);
  const asked: unknown[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    asked.push(JSON.parse(text));
    response.end(JSON.stringify({ score: 0.25 }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await expect(reward("x", rewardRow("y"), rewardContext())).rejects.toThrow("SCORE_URL");
    vi.stubEnv("SCORE_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(await reward("x", rewardRow("y"), rewardContext({ question: "q", images: [PICTURE] }))).toBe(0.25);
    expect(asked).toEqual([{ question: "q", completion: "x", solution: "y", images: ["a.png"] }]);
    await expect(reward("x", rewardRow("y"), rewardContext({ signal: AbortSignal.abort() }))).rejects.toThrow(/abort/i);
  } finally {
    server.close();
  }
});
