import type { PageData, PageEvents, PageRun } from "../../lib/page/page-data.js";
import { completed, evaluated, statusIs, stepDone, warned } from "../../lib/page/server/live-run.js";

/** Follows a dashboard's events as its page does, without a browser. */
export class EventLog {
  data!: PageData;
  /** Names of the events, in their order. */
  names = "";
  progress: PageEvents["progress"][] = [];
  private readonly waiting = new Set<() => void>();
  private readonly stop = new AbortController();

  /** Resolves once the page is there. */
  static async open(url: string): Promise<EventLog> {
    const log = new EventLog();
    const response = await fetch(new URL("events", url), { signal: log.stop.signal });
    log.read(response.body as ReadableStream<Uint8Array>).catch(() => {});
    while (log.data === undefined) await log.change();
    return log;
  }

  get run(): PageRun {
    return this.data.runs[0] as PageRun;
  }

  async until(condition: (run: PageRun) => boolean, milliseconds = 30_000): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!condition(this.run)) {
      if (performance.now() > end) throw new Error(`not in ${milliseconds} ms; events were ${this.names}`);
      await this.change();
    }
  }

  close(): void {
    this.stop.abort();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.add(resolve);
      setTimeout(resolve, 100);
    });
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of body) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) this.take(block);
      for (const look of this.waiting) look();
      this.waiting.clear();
    }
  }

  private apply(name: string, value: never): void {
    const { learningRate } = value as PageEvents["status"];
    if (name === "status" && this.data.live !== undefined) this.data.live.learningRate = learningRate;
    const changes: Record<string, (value: never) => (run: PageRun) => void> = {
      ...{ step: stepDone, evaluation: evaluated, completions: completed, warning: warned, status: statusIs },
    };
    changes[name]?.(value)(this.run);
  }

  private take(block: string): void {
    const [, name = "", json] = /^id: \d+\nevent: ([^\n]*)\ndata: ([^\n]*)$/.exec(block) ?? [];
    if (json === undefined) return;
    this.names = `${this.names} ${name}`.trim();
    const value: unknown = JSON.parse(json);
    if (name === "page") this.data = value as PageData;
    else if (name === "progress") this.progress.push(value as PageEvents["progress"]);
    else this.apply(name, value as never);
  }
}

/** Steers the run whose dashboard has this address. */
export function command(url: string, body: object): Promise<Response> {
  const [address = "", token = ""] = url.split("#token=");
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  return fetch(`${address}control`, { method: "POST", headers, body: JSON.stringify(body) });
}
