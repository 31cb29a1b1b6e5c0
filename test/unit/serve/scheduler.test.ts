import { afterEach, describe, expect, test, vi } from "vitest";
import { Decoder } from "../../../lib/engine/decoder.js";
import type { DecodeRequest, NativeDecoder } from "../../../lib/engine/native-types.js";
import { type Row, type RowEnd, Scheduler } from "../../../lib/serve/scheduler.js";
import { fakeDecoder } from "../../support/fake-decoder.js";

const SAMPLING = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, maxNewTokens: 1e9, stopTokens: [] };

interface TestRow extends Row {
  tokens: number[];
  ended: RowEnd[];
}

/** A row whose answer is `length` times its name. */
function row(name: number, length: number, most = Number.POSITIVE_INFINITY): TestRow {
  const made: TestRow = {
    request: {
      prompt: { tokens: Int32Array.of(name, length), images: [] },
      sampling: SAMPLING,
      ...{ seed: 0, row: 0, completion: 0 },
    },
    tokens: [],
    ended: [],
    take(news) {
      made.tokens.push(...news.map(({ token }) => token));
      return made.tokens.length < most;
    },
    end: (reason) => made.ended.push(reason),
  };
  return made;
}

const answer = ({ prompt: { tokens } }: DecodeRequest) => Array.from({ length: tokens[1]! }, () => tokens[0]!);
const never = new AbortController().signal;
const open: Scheduler[] = [];

function schedule(change: (decoder: NativeDecoder) => NativeDecoder = (decoder) => decoder) {
  const natives: NativeDecoder[] = [];
  const scheduler = new Scheduler(() => {
    const native = change(fakeDecoder({ answer, maxRows: 2 }));
    natives.push({ ...native, dispose: vi.fn(native.dispose) });
    return new Decoder(natives.at(-1));
  });
  open.push(scheduler);
  return { scheduler, natives };
}

/** Steps are much shorter than a timer's. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

afterEach(async () => {
  for (const scheduler of open.splice(0)) await scheduler.close(new Error("over"));
});

describe("the scheduler", () => {
  test("gives every row its own tokens, also to those that join later", async () => {
    const { scheduler } = schedule();
    const first = [row(1, 30), row(2, 3)];
    const second = [row(3, 5)];
    const one = scheduler.complete(first, never);
    await until(() => first[1]!.ended.length === 1);
    expect(first[0]?.ended).toEqual([]);
    await Promise.all([one, scheduler.complete(second, never)]);
    expect([...first, ...second].map(({ tokens }) => tokens)).toEqual([
      Array.from({ length: 30 }, () => 1),
      [2, 2, 2],
      [3, 3, 3, 3, 3],
    ]);
    expect(scheduler.size).toBe(0);
  });

  test("rests where there is nothing to do, and goes on", async () => {
    const step = vi.fn();
    const { scheduler } = schedule((decoder) => ({
      ...decoder,
      step: (...args) => {
        step();
        return decoder.step(...args);
      },
    }));
    await scheduler.complete([row(1, 2)], never);
    const steps = step.mock.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(step).toHaveBeenCalledTimes(steps);
    const again = row(2, 2);
    await scheduler.complete([again], never);
    expect(again.ended).toEqual(["stop"]);
  });

  test("takes out a row that has enough, and goes on with the others", async () => {
    const removed: number[] = [];
    const { scheduler } = schedule((decoder) => ({
      ...decoder,
      remove: (args, flag) => {
        removed.push(...args.ids);
        return decoder.remove(args, flag);
      },
    }));
    const [short, long] = [row(1, 50, 3), row(2, 9)];
    await scheduler.complete([short, long], never);
    expect(short).toMatchObject({ tokens: [1, 1, 1], ended: ["enough"] });
    expect(long.ended).toEqual(["stop"]);
    expect(removed).toEqual([0]);
  });

  test("drops the rows of an aborted request, and no others", async () => {
    const removed: number[] = [];
    const { scheduler } = schedule((decoder) => ({
      ...decoder,
      remove: (args, flag) => {
        removed.push(...args.ids);
        return decoder.remove(args, flag);
      },
    }));
    const controller = new AbortController();
    const [gone, stays] = [row(1, 1e6), row(2, 200)];
    const running = scheduler.complete([gone], controller.signal);
    const other = scheduler.complete([stays], never);
    await until(() => gone.tokens.length > 2);
    const reason = new Error("went away");
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    const then = gone.tokens.length;
    await other;
    expect(gone.tokens).toHaveLength(then);
    expect(stays.tokens).toHaveLength(200);
    expect(removed).toEqual([0]);
    await expect(scheduler.complete([row(3, 1)], controller.signal)).rejects.toBe(reason);
  });

  test("says why a decoder does not take a request, and lets others go on", async () => {
    const { scheduler } = schedule((decoder) => ({
      ...decoder,
      add: async (args, flag) => {
        if (args.requests.some(({ prompt }) => prompt.tokens[0] === 13)) {
          throw Object.assign(new Error("token 13"), { code: "ERR_TOKENS" });
        }
        return decoder.add(args, flag);
      },
    }));
    const fine = row(1, 20);
    const other = scheduler.complete([fine], never);
    await expect(scheduler.complete([row(13, 2)], never)).rejects.toMatchObject({ code: "ERR_TOKENS" });
    await other;
    expect(fine.tokens).toHaveLength(20);
  });

  test("lets a request fail alone where its row cannot go on", async () => {
    const { scheduler } = schedule((decoder) => ({
      ...decoder,
      step: async (...args) => {
        const step = await decoder.step(...args);
        const news = step.news.filter(({ id }) => id !== 0);
        const broken = { id: 0, finishReason: "error" as const, message: "not finite" };
        return { ...step, news, finished: [broken, ...step.finished] };
      },
    }));
    const other = row(2, 4);
    const both = [scheduler.complete([row(1, 5)], never), scheduler.complete([other], never)];
    await expect(both[0]).rejects.toMatchObject({ code: "ERR_DECODE", message: "not finite" });
    await both[1];
    expect(other.tokens).toHaveLength(4);
  });

  test("fails all that is under way when the decoder fails, and begins anew with the next", async () => {
    let broken = true;
    const { scheduler, natives } = schedule((decoder) => ({
      ...decoder,
      step: async (...args) => {
        if (broken) throw Object.assign(new Error("no memory"), { code: "ERR_OUT_OF_MEMORY" });
        return decoder.step(...args);
      },
    }));
    const results = await Promise.allSettled([row(1, 2), row(2, 2)].map((one) => scheduler.complete([one], never)));
    for (const result of results) expect(result).toMatchObject({ reason: { code: "ERR_OUT_OF_MEMORY" } });
    broken = false;
    const next = row(3, 2);
    await scheduler.complete([next], never);
    expect(next.tokens).toEqual([3, 3]);
    expect(natives).toHaveLength(2);
    expect(natives[0]?.dispose).toHaveBeenCalledTimes(1);
  });

  test("ends everything when it is closed, and frees the decoder", async () => {
    const { scheduler, natives } = schedule();
    const running = scheduler.complete([row(1, 1e6)], never);
    const reason = new Error("stopping");
    const refused = expect(running).rejects.toBe(reason);
    await scheduler.close(reason);
    await refused;
    await expect(scheduler.complete([row(1, 1)], never)).rejects.toBe(reason);
    expect(natives[0]?.dispose).toHaveBeenCalledTimes(1);
  });
});
