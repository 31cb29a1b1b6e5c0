import type { Stats } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TRACE_FILE } from "../config/index.js";
import { fromSystem, usageError, VlmR1Error } from "../errors/index.js";
import { makeFolder, pathBeside, replaceFile } from "../files/index.js";
import type { Recording } from "./profile.js";
import type { Span } from "./spans.js";

/** A complete event of Chrome's trace format; times in nanoseconds from the start. */
interface TraceEvent {
  name: string;
  thread: number;
  start: number;
  end: number;
  args: Readonly<Record<string, number | string>>;
}

const PROCESS = 1;
const MAIN = 1;
const ENGINE = 2;
/** And those that follow. */
const DATA = 3;
const EVENTS_PER_CHUNK = 5000;

/** `--profile`, as it is configured. */
export type ProfileOption = boolean | string | undefined;

/** The file of the trace, in `folder` where it was given no name; undefined where none is asked for. */
export function tracePath(profile: ProfileOption, folder = ""): string | undefined {
  return profile === true ? join(folder, TRACE_FILE) : profile || undefined;
}

const WRITING = { what: "write the profile", hint: "Name another file: --profile FILE." };

/**
 * Writes a recording in Chrome's trace format, beside and renamed. The engine is one thread, JavaScript another, and
 * pictures and texts that are made ready side by side have as many as they need. Throws where that fails.
 */
export async function writeTrace(path: string, recording: Recording): Promise<void> {
  await replaceFile(path, WRITING, async (file) => {
    for (const chunk of traceText(recording)) await file.appendFile(chunk);
  });
}

/** Throws at once what `writeTrace` would throw: for callers that have work to profile before it. Makes its folder. */
export async function checkTraceTarget(path: string): Promise<void> {
  try {
    const there = await statsOf(path);
    if (there?.isFile() === false) {
      const kind = there.isDirectory() ? "a folder" : "a device or the like";
      throw usageError(`cannot write the profile ${path}: expected a file or nothing, there is ${kind}`, WRITING.hint);
    }
    await makeFolder(dirname(path));
    const beside = pathBeside(path);
    await (await open(beside, "w")).close();
    await rm(beside);
  } catch (error) {
    throw fromSystem(error, WRITING.what, path, WRITING.hint);
  }
}

async function statsOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What a warning says of a profile that could not be made. */
export function noProfile(error: unknown): string {
  const hint = error instanceof VlmR1Error && error.hint !== undefined ? ` (${error.hint})` : "";
  return `there is no profile: ${(error as Error).message}${hint}`;
}

/** The file's text, in pieces: it may be larger than a string can be. */
export function* traceText(recording: Recording): Generator<string> {
  const { engine, log } = recording;
  const lanes = laneOf(log.spans);
  const dropped = engine.dropped + log.dropped;
  yield `{"displayTimeUnit":"ms","otherData":${JSON.stringify({ dropped_spans: dropped })},"traceEvents":[\n`;
  yield metadata(new Set(lanes.values())).join(",\n");
  let lines: string[] = [];
  for (const event of eventsOf(recording, lanes)) {
    lines.push(eventText(event));
    if (lines.length < EVENTS_PER_CHUNK) continue;
    yield `,\n${lines.join(",\n")}`;
    lines = [];
  }
  if (lines.length > 0) yield `,\n${lines.join(",\n")}`;
  yield "\n]}\n";
}

function metadata(lanes: ReadonlySet<number>): string[] {
  const threads: [number, string][] = [
    [MAIN, "main"],
    [ENGINE, "engine"],
    ...[...lanes].sort((a, b) => a - b).map((lane): [number, string] => [DATA + lane, `data ${lane + 1}`]),
  ];
  const about = (name: string, tid: number, args: object) =>
    JSON.stringify({ name, ph: "M", pid: PROCESS, tid, ts: 0, args });
  return [
    about("process_name", MAIN, { name: "vlmr1-native" }),
    ...threads.flatMap(([tid, name]) => [
      about("thread_name", tid, { name }),
      about("thread_sort_index", tid, { sort_index: tid }),
    ]),
  ];
}

function* eventsOf({ engine, log, start }: Recording, lanes: ReadonlyMap<Span, number>): Generator<TraceEvent> {
  // Beginnings and ends are rounded, not durations: what lay within a span still does.
  const at = (milliseconds: number) => Math.round(1e6 * (milliseconds - start));
  for (const span of log.spans) {
    const lane = lanes.get(span);
    const thread = lane === undefined ? MAIN : DATA + lane;
    const { name, args } = span;
    yield { name, thread, start: at(span.start), end: at(span.start + span.duration), args };
  }
  for (const [index, number] of engine.name.entries()) {
    const from = engine.start[index] as number;
    const duration = engine.duration[index] as number;
    yield {
      name: engine.names[number] as string,
      thread: ENGINE,
      start: at(from / 1000),
      end: at((from + duration) / 1000),
      args: workArgs(
        engine.details[engine.detail[index] as number] as string,
        engine.flops[index] as number,
        engine.bytes[index] as number,
        duration,
      ),
    };
  }
}

function workArgs(size: string, flops: number, bytes: number, microseconds: number): TraceEvent["args"] {
  const perSecond = (count: number) => Number((count / microseconds / 1000).toPrecision(4));
  const args: Record<string, number | string> = {};
  if (size !== "") args.size = size;
  if (flops > 0) Object.assign(args, { flops, "GFLOP/s": perSecond(flops) });
  if (bytes > 0) Object.assign(args, { bytes, "GB/s": perSecond(bytes) });
  return args;
}

function eventText({ name, thread, start, end, args }: TraceEvent): string {
  const [ts, dur] = [start / 1000, (end - start) / 1000];
  return JSON.stringify({ name, ph: "X", pid: PROCESS, tid: thread, ts, dur, args });
}

/** A place for each span that runs beside others: the first one that is free when it starts. */
function laneOf(spans: readonly Span[]): Map<Span, number> {
  const lanes = new Map<Span, number>();
  const ends: number[] = [];
  const beside = spans.filter(({ track }) => track === "data").sort((a, b) => a.start - b.start);
  for (const span of beside) {
    const free = ends.findIndex((end) => end <= span.start);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = span.start + span.duration;
    lanes.set(span, lane);
  }
  return lanes;
}
