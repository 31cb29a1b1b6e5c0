import { expect, test } from "vitest";
import { Turns } from "../../../lib/processing/turns.js";

const soon = () => new Promise((resolve) => setTimeout(resolve, 1));

test("as many run at a time as there is width for, in the order in which they came, after failures too", async () => {
  const turns = new Turns(3);
  let inside = 0;
  let most = 0;
  const started: number[] = [];
  const work = Array.from({ length: 20 }, (_, index) =>
    turns.take(async () => {
      started.push(index);
      inside += 1;
      most = Math.max(most, inside);
      await soon();
      inside -= 1;
      if (index % 4 === 1) throw new Error(`no ${index}`);
      return index;
    }),
  );
  const results = await Promise.allSettled(work);
  expect(most).toBe(3);
  expect(started).toEqual([...started].sort((a, b) => a - b));
  expect(results.map(({ status }) => status === "fulfilled")).toEqual(work.map((_, index) => index % 4 !== 1));
  expect(await turns.take(async () => inside)).toBe(0);
});
