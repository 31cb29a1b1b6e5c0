import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { NativeProfile } from "../../../lib/engine/index.js";
import { formatProfile, type Recording, summarize } from "../../../lib/report/profile.js";
import { traceText, writeTrace } from "../../../lib/report/profile-trace.js";
import { type Span, SpanLog, span, spanSync } from "../../../lib/report/spans.js";
import { temporaryFolder } from "../../support/temporary.js";
import { nested, parseTrace, readTrace } from "../../support/trace.js";

const folder = temporaryFolder();

/** Name, start and end in milliseconds, floating-point operations, bytes. */
type Row = [name: string, start: number, end: number, flops?: number, bytes?: number];

function engineProfile(rows: Row[], dropped = 0): NativeProfile {
  const names = [...new Set(rows.map(([name]) => name))];
  return {
    names,
    details: ["", "T=2 E=3"],
    name: Int32Array.from(rows, ([name]) => names.indexOf(name)),
    detail: Int32Array.from(rows, ([, , , flops]) => (flops === undefined ? 0 : 1)),
    start: Float64Array.from(rows, ([, start]) => 1000 * start),
    duration: Float64Array.from(rows, ([, start, end]) => 1000 * (end - start)),
    flops: Float64Array.from(rows, ([, , , flops]) => flops ?? 0),
    bytes: Float64Array.from(rows, ([, , , , bytes]) => bytes ?? 0),
    dropped,
  };
}

function logOf(rows: [name: string, start: number, end: number, track?: Span["track"]][]): SpanLog {
  const log = new SpanLog();
  for (const [name, start, end, track = "main"] of rows) {
    log.add({ name, track, start, duration: end - start, args: {} });
  }
  return log;
}

/** A step of 100 ms from 1000 on, of which the engine works 60. */
const recording: Recording = {
  engine: engineProfile([
    ["generate", 1010, 1050],
    ["linear", 1012, 1032, 4e9, 2e8],
    ["linear", 1034, 1044, 2e9, 1e8],
    ["step", 1060, 1080],
    ["adamw", 1061, 1080, 0, 19e6],
  ]),
  log: logOf([
    ["rollout", 1005, 1055],
    ["picture", 1020, 1040, "data"],
    ["picture", 1030, 1045, "data"],
    ["picture", 1041, 1058, "data"],
    ["optimizer step", 1058, 1081],
    ["training step", 1000, 1100],
  ]),
  start: 1000,
  end: 1100,
};

describe("the sums of a profile", () => {
  const { entries, ...rest } = summarize(recording);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));

  test("self time is without what lies within, on the main thread also without the engine's work", () => {
    expect(byName.get("linear")).toMatchObject({ thread: "engine", calls: 2, total: 30, self: 30, share: 0.3 });
    expect(byName.get("generate")).toMatchObject({ calls: 1, total: 40, self: 10 });
    expect(byName.get("rollout")).toMatchObject({ thread: "main", total: 50, self: 10 });
    expect(byName.get("optimizer step")).toMatchObject({ total: 23, self: 3 });
    expect(byName.get("training step")).toMatchObject({ total: 100, self: 27 });
    expect(byName.has("picture")).toBe(false);
    // Nothing is counted twice.
    expect(entries.reduce((sum, { self }) => sum + self, 0)).toBeCloseTo(100);
    expect(rest).toEqual({ duration: 100, spans: 11, dropped: 0 });
  });

  test("rates are over the time of the kernels", () => {
    expect(byName.get("linear")?.gflops).toBeCloseTo(200);
    expect(byName.get("linear")?.gigabytes).toBeCloseTo(10);
    expect(byName.get("adamw")?.gflops).toBeUndefined();
    expect(byName.get("adamw")?.gigabytes).toBeCloseTo(1);
    expect(byName.get("generate")?.gigabytes).toBeUndefined();
  });

  test("the table has the largest first, and says what was dropped", () => {
    const lines = formatProfile({ path: "run/trace.json", steps: [2, 4], entries, ...rest, dropped: 7 }, 2);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toContain("profile of steps 2–4: 100 ms, 11 spans; there was no room for 7 more");
    expect(lines[1]).toMatch(/^span +thread +calls +total ms +self ms +share +GFLOP\/s +GB\/s$/);
    expect(lines[2]).toMatch(/^linear +engine +2 +30\.0 +30\.0 +30\.0 % +200\.0 +10\.0$/);
    expect(lines[3]).toMatch(/^training step +main/);
    expect(lines[4]).toContain("run/trace.json");
    expect(lines[4]).toContain("ui.perfetto.dev");
  });
});

describe("the trace", () => {
  test("has the engine and JavaScript on a thread each, and what runs side by side on as many as it needs", async () => {
    const path = join(folder, "new", "trace.json");
    await writeTrace(path, recording);
    const { threads, dropped } = readTrace(path);
    expect([...threads.keys()]).toEqual(["main", "engine", "data 1", "data 2"]);
    expect(dropped).toBe(0);
    expect(nested(threads.get("engine") ?? []).map(({ event, within }) => [...within, event.name])).toEqual([
      ["generate"],
      ["generate", "linear"],
      ["generate", "linear"],
      ["step"],
      ["step", "adamw"],
    ]);
    for (const events of threads.values()) nested(events);
    expect(threads.get("engine")?.[1]).toMatchObject({
      ts: 12000,
      dur: 20000,
      args: { size: "T=2 E=3", flops: 4e9, bytes: 2e8, "GFLOP/s": 200, "GB/s": 10 },
    });
    expect(threads.get("data 1")?.map(({ ts }) => ts)).toEqual([20000, 41000]);
    expect(readdirSync(join(folder, "new"))).toEqual(["trace.json"]);
  });

  test("spans that end together still nest, whatever their times round to", () => {
    const third = 1 / 3;
    const engine = engineProfile([
      ["a", 7 + third, 8 + third],
      ["b", 7.5 + third / 7, 8 + third],
      ["c", 7.6 + third / 11, 8 + third],
    ]);
    const text = [...traceText({ engine, log: new SpanLog(), start: third, end: 10 })].join("");
    const levels = nested(parseTrace(text).threads.get("engine") ?? []).map(({ within }) => within);
    expect(levels).toEqual([[], ["a"], ["a", "b"]]);
  });

  test("a hundred thousand spans, in pieces", () => {
    const rows = Array.from({ length: 1e5 }, (_, i): Row => ["add", i, i + 0.5, 0, 8]);
    const pieces = [...traceText({ engine: engineProfile(rows, 3), log: new SpanLog(), start: 0, end: 1e5 })];
    expect(pieces.length).toBeGreaterThan(10);
    const { threads, dropped } = parseTrace(pieces.join(""));
    expect(threads.get("engine")).toHaveLength(1e5);
    expect(dropped).toBe(3);
  });

  test("a place that cannot be written is an error with its path, and leaves nothing behind", async () => {
    const path = join(folder, "taken");
    mkdirSync(path);
    await expect(writeTrace(path, recording)).rejects.toThrow(/taken/);
    expect(readdirSync(folder).filter((name) => name.startsWith(".writing"))).toEqual([]);
  });
});

describe("spans", () => {
  test("are kept by the log whose work they are, until it is closed", async () => {
    const log = new SpanLog();
    const other = new SpanLog();
    let finish = () => {};
    const late = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let ahead: Promise<void> | undefined;
    await log.run(() =>
      span("outer", async () => {
        ahead = span("late", () => late);
        expect(spanSync("inner", () => 7, { track: "data", args: { row: 1 } })).toBe(7);
      }),
    );
    await other.run(() => span("other", async () => undefined));
    await span("nobody's", async () => undefined);
    log.close();
    finish();
    await ahead;
    expect(log.spans.map(({ name, track, args }) => [name, track, args])).toEqual([
      ["inner", "data", { row: 1 }],
      ["outer", "main", {}],
    ]);
    expect(other.spans.map(({ name }) => name)).toEqual(["other"]);
  });

  test("end where the work throws", async () => {
    const log = new SpanLog();
    const work = log.run(() => span("thrown", () => Promise.reject(new Error("on purpose"))));
    await expect(work).rejects.toThrow("on purpose");
    expect(log.spans).toMatchObject([{ name: "thrown" }]);
  });
});
