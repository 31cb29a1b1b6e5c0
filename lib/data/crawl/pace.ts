import { createHash } from "node:crypto";
import PQueue from "p-queue";
import { throwIfAborted } from "../../errors/index.js";
import { sleep } from "../../hub/patience.js";

/** Time as a crawl sees it; tests have one that does not wait. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void>;
}

export const systemClock: Clock = { now: () => performance.now(), sleep };

interface Host {
  queue: PQueue;
  lastEnd: number;
  heldUntil: number;
  /** What its robots.txt asks for, in milliseconds. */
  crawlDelay: number;
}

/** Lets requests to a host through one after another, with a pause from the end of one to the start of the next. */
export class HostPace {
  private readonly hosts = new Map<string, Host>();

  constructor(
    private readonly clock: Clock,
    /** Requests to a host at a time where no pause is asked for. */
    private readonly width: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Pause in milliseconds. */
  async run<T>(name: string, pause: number, work: () => Promise<T>): Promise<T> {
    const host = this.of(name);
    host.queue.concurrency = pause > 0 || host.crawlDelay > 0 ? 1 : this.width;
    return host.queue.add(async () => {
      await this.waitFor(host, pause);
      try {
        return await work();
      } finally {
        host.lastEnd = this.clock.now();
      }
    });
  }

  setCrawlDelay(name: string, milliseconds: number): void {
    this.of(name).crawlDelay = milliseconds;
  }

  /** Nothing goes to this host for a while, as it asked. */
  hold(name: string, milliseconds: number): void {
    const host = this.of(name);
    host.heldUntil = Math.max(host.heldUntil, this.clock.now() + milliseconds);
  }

  private async waitFor(host: Host, pause: number): Promise<void> {
    for (;;) {
      throwIfAborted(this.signal);
      const start = Math.max(host.lastEnd + Math.max(pause, host.crawlDelay), host.heldUntil);
      const wait = start - this.clock.now();
      if (!(wait > 0)) return;
      await this.clock.sleep(wait, this.signal);
    }
  }

  private of(name: string): Host {
    let host = this.hosts.get(name);
    if (host === undefined) {
      host = { queue: new PQueue({ concurrency: 1 }), lastEnd: -Infinity, heldUntil: -Infinity, crawlDelay: 0 };
      this.hosts.set(name, host);
    }
    return host;
  }
}

/**
 * Milliseconds before try `tries` + 1: doubled with each, and spread over its upper half by a hash of the address, so
 * that what failed together does not come back together, and the same crawl waits the same.
 */
export function backOff(url: string, tries: number, firstWait: number, longestWait: number): number {
  const whole = Math.min(longestWait, firstWait * 2 ** (tries - 1));
  const spread = createHash("sha256").update(`${url} ${tries}`).digest().readUInt32LE(0) / 2 ** 32;
  return whole * (0.5 + spread / 2);
}
