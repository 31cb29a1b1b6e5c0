import type { NativeProfile } from "../engine/index.js";
import { formatTable } from "./format.js";
import type { Span, SpanLog } from "./spans.js";

/** Everything that was recorded between two moments, in milliseconds of `performance.now()`. */
export interface Recording {
  engine: NativeProfile;
  log: SpanLog;
  start: number;
  end: number;
}

/** Spans of one name on one thread. */
export interface ProfileEntry {
  /** "engine", or "main" for what JavaScript did between the engine's calls. */
  thread: "engine" | "main";
  name: string;
  calls: number;
  /** Milliseconds in all, and without the spans within them; those of "main" without the waiting for the engine. */
  total: number;
  self: number;
  /** Of the profiled time: `self` as a part of 1. */
  share: number;
  /** 10⁹ floating-point operations per second; undefined where none are counted. */
  gflops: number | undefined;
  /** 10⁹ bytes of tensors per second. */
  gigabytes: number | undefined;
}

/** What a profile found. */
export interface ProfileReport {
  /** The trace. */
  path: string;
  /** First and last profiled step, from 1; undefined outside of training. */
  steps: readonly [number, number] | undefined;
  /** Milliseconds. */
  duration: number;
  /** Largest `self` first. */
  entries: ProfileEntry[];
  spans: number;
  /** Spans that there was no room for; entries do not know of them. */
  dropped: number;
}

/** Milliseconds. */
interface Interval {
  start: number;
  end: number;
}

/** A span in a list that is ordered by start, the longer first. */
interface Timed extends Interval {
  key: string;
}

/** Adds up spans by name. */
export function summarize({ engine, log, start, end }: Recording): Omit<ProfileReport, "path" | "steps"> {
  const sums = new Map<string, Sums>();
  const engineSpans = timedEngine(engine);
  addSelf(engineSpans, sums, "engine", () => 0);
  for (const [index, { key }] of engineSpans.entries()) {
    const entry = sums.get(`engine ${key}`) as Sums;
    entry.flops += engine.flops[index] as number;
    entry.bytes += engine.bytes[index] as number;
  }
  const busy = busyTime(engineSpans);
  addSelf(timedMain(log.spans), sums, "main", (span) => busy(span.end) - busy(span.start));
  const duration = end - start;
  const entries = [...sums.values()]
    .map(({ flops, bytes, ...entry }) => ({
      ...entry,
      share: entry.self / duration,
      gflops: rate(flops, entry.total),
      gigabytes: rate(bytes, entry.total),
    }))
    .sort((a, b) => b.self - a.self);
  const spans = engine.name.length + log.spans.length;
  return { duration, entries, spans, dropped: engine.dropped + log.dropped };
}

type Sums = Omit<ProfileEntry, "share" | "gflops" | "gigabytes"> & { flops: number; bytes: number };

function timedEngine({ names, name, start, duration }: NativeProfile): Timed[] {
  return Array.from(name, (number, index) => {
    const from = (start[index] as number) / 1000;
    return { key: names[number] as string, start: from, end: from + (duration[index] as number) / 1000 };
  });
}

function timedMain(spans: readonly Span[]): Timed[] {
  return spans
    .filter(({ track }) => track === "main")
    .map(({ name, start, duration }) => ({ key: name, start, end: start + duration }))
    .sort((a, b) => a.start - b.start || b.end - a.end);
}

/** `without`: time within a span that is somebody else's. */
function addSelf(
  spans: readonly Timed[],
  sums: Map<string, Sums>,
  thread: ProfileEntry["thread"],
  without: (span: Interval) => number,
): void {
  const open: { entry: Sums; end: number }[] = [];
  for (const span of spans) {
    while (open.length > 0 && (open.at(-1)?.end as number) <= span.start) open.pop();
    const id = `${thread} ${span.key}`;
    const entry = sums.get(id) ?? { thread, name: span.key, calls: 0, total: 0, self: 0, flops: 0, bytes: 0 };
    sums.set(id, entry);
    const own = span.end - span.start - without(span);
    entry.calls += 1;
    entry.total += span.end - span.start;
    entry.self += own;
    const parent = open.at(-1);
    if (parent !== undefined) parent.entry.self -= own;
    open.push({ entry, end: span.end });
  }
}

/** How long the engine had been at work at a time. */
function busyTime(spans: readonly Interval[]): (time: number) => number {
  const outer: (Interval & { before: number })[] = [];
  let sum = 0;
  for (const { start, end } of spans) {
    if (start < (outer.at(-1)?.end ?? Number.NEGATIVE_INFINITY)) continue;
    outer.push({ start, end, before: sum });
    sum += end - start;
  }
  return (time) => {
    let [low, high] = [0, outer.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((outer[middle] as Interval).start <= time) low = middle + 1;
      else high = middle;
    }
    const last = outer[low - 1];
    return last === undefined ? 0 : last.before + Math.min(time, last.end) - last.start;
  };
}

/** 10⁹ per second, from milliseconds. */
function rate(count: number, milliseconds: number): number | undefined {
  return count > 0 && milliseconds > 0 ? count / milliseconds / 1e6 : undefined;
}

/** The largest entries as lines, and where to look further. */
export function formatProfile({ path, steps, duration, entries, spans, dropped }: ProfileReport, most = 10): string[] {
  const number = (value: number | undefined, digits: number) => value?.toFixed(digits) ?? "";
  const rows = entries
    .slice(0, most)
    .map(({ thread, name, calls, total, self, share, gflops, gigabytes }) => [
      name,
      thread,
      String(calls),
      number(total, 1),
      number(self, 1),
      `${(100 * share).toFixed(1)} %`,
      number(gflops, 1),
      number(gigabytes, 1),
    ]);
  const of =
    steps === undefined ? "" : ` of ${steps[0] === steps[1] ? `step ${steps[0]}` : `steps ${steps.join("–")}`}`;
  const lost = dropped === 0 ? "" : `; there was no room for ${dropped} more, which the table does not know of`;
  return [
    `profile${of}: ${duration.toFixed(0)} ms, ${spans} spans${lost}`,
    ...formatTable([["span", "thread", "calls", "total ms", "self ms", "share", "GFLOP/s", "GB/s"], ...rows]),
    `the whole trace: ${path} (open it in https://ui.perfetto.dev or chrome://tracing)`,
  ];
}
