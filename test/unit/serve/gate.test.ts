import { expect, test } from "vitest";
import { Gate } from "../../../lib/serve/gate.js";

/** Work that ends when it is told to. */
function work() {
  let end = () => {};
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { done, end };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a gate lets so many in, in their order, whoever gives up or fails", async () => {
  const gate = new Gate(2);
  const begun: number[] = [];
  const works = Array.from({ length: 6 }, work);
  const controllers = works.map(() => new AbortController());
  const results = works.map(({ done }, index) =>
    gate.during(controllers[index]!.signal, async () => {
      begun.push(index);
      await done;
      if (index === 1) throw new Error("failed");
      return index;
    }),
  );
  const settled = Promise.allSettled(results);
  await settle();
  expect([begun, gate.waiting]).toEqual([[0, 1], 4]);
  const reason = new Error("gave up");
  controllers[3]!.abort(reason);
  await expect(results[3]).rejects.toBe(reason);
  expect(gate.waiting).toBe(3);
  works[1]!.end();
  await expect(results[1]).rejects.toThrowError("failed");
  await settle();
  expect(begun).toEqual([0, 1, 2]);
  for (const { end } of works) end();
  await settled;
  expect([begun, gate.waiting]).toEqual([[0, 1, 2, 4, 5], 0]);
  expect(await gate.during(new AbortController().signal, async () => "again")).toBe("again");
});

test("a gate takes nobody who has given up already", async () => {
  const gate = new Gate(1);
  const signal = AbortSignal.abort(new Error("too late"));
  await expect(gate.during(signal, async () => "never")).rejects.toThrowError("too late");
  expect(await gate.during(new AbortController().signal, async () => "in")).toBe("in");
});
