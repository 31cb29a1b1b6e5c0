import { readFileSync } from "node:fs";

/** A complete event of a trace; microseconds. */
export interface TraceEvent {
  name: string;
  tid: number;
  ts: number;
  dur: number;
  args: Record<string, number | string>;
}

export interface Trace {
  /** By the name of their thread. */
  threads: Map<string, TraceEvent[]>;
  dropped: number;
}

interface File {
  traceEvents: (TraceEvent & { ph: string; pid: number })[];
  otherData: { dropped_spans: number };
}

export function readTrace(path: string): Trace {
  return parseTrace(readFileSync(path, "utf8"));
}

/** Reads a trace and holds it to its format. */
export function parseTrace(text: string): Trace {
  const { traceEvents, otherData } = JSON.parse(text) as File;
  const names = new Map<number, string>();
  const threads = new Map<string, TraceEvent[]>();
  for (const { ph, name, tid, args } of traceEvents) {
    if (ph !== "M" || name !== "thread_name") continue;
    names.set(tid, args.name as string);
    threads.set(args.name as string, []);
  }
  for (const event of traceEvents) {
    if (event.ph === "M") continue;
    const thread = threads.get(names.get(event.tid) ?? "");
    const named = event.ph === "X" && typeof event.name === "string" && event.pid === 1;
    const good = named && event.ts >= 0 && event.dur >= 0 && typeof event.args === "object";
    if (!good || thread === undefined) throw new Error(`not a complete event: ${JSON.stringify(event)}`);
    thread.push(event);
  }
  return { threads, dropped: otherData.dropped_spans };
}

/** Half a nanosecond: times are written in microseconds with three places. */
const ROUNDING = 5e-4;

/**
 * Each event with the names of those around it, outermost first. Throws where two of them overlap in part, or where
 * events take longer than the one around them.
 */
export function nested(events: readonly TraceEvent[]): { event: TraceEvent; within: string[] }[] {
  const open: { event: TraceEvent; left: number }[] = [];
  const end = ({ ts, dur }: TraceEvent) => ts + dur;
  return [...events]
    .sort((a, b) => a.ts - b.ts || b.dur - a.dur)
    .map((event) => {
      while (open.length > 0 && end(open.at(-1)?.event as TraceEvent) <= event.ts + ROUNDING) open.pop();
      const parent = open.at(-1);
      if (parent !== undefined) {
        parent.left -= event.dur;
        if (end(event) > end(parent.event) + ROUNDING) throw new Error(`${event.name} outlasts ${parent.event.name}`);
        if (parent.left < -ROUNDING) throw new Error(`${parent.event.name} is shorter than what lies in it`);
      }
      const within = open.map(({ event: { name } }) => name);
      open.push({ event, left: event.dur });
      return { event, within };
    });
}
