// A reward in TypeScript that asks a service of yours. Node 20 imports JavaScript only, so compile it first:
//   npx tsc --module nodenext --target es2022 --skipLibCheck examples/rewards/service.mts
//   SCORE_URL=http://localhost:9000/score vlmr1-native train --reward ./examples/rewards/service.mjs
import type { rewards } from "vlmr1-native";

/**
 * What the service at SCORE_URL says of the completion, from 0 to 1. It gets question, completion, solution and the
 * pictures' paths as JSON and answers {"score": number}. Completions are judged side by side; `signal` ends a request
 * when the run is interrupted or reward_timeout is over, and what throws here is reported with the row's id.
 */
const service: rewards.RewardFunction = async (completion, row, { question, images, signal }) => {
  const url = process.env.SCORE_URL;
  if (url === undefined) throw new Error("set SCORE_URL to the service's address");
  const paths = images.map(({ path }) => path);
  const body = JSON.stringify({ question, completion, solution: row.solution, images: paths });
  const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const { score } = (await response.json()) as { score: number };
  return score;
};

export default service;
