import type { PageEvents, PageRun } from "../../page-data.js";
import type { Connection, Store } from "../base/store.js";
import { applyChange, type ChangeName } from "./apply.js";

const CHANGES: readonly ChangeName[] = ["step", "evaluation", "completions", "warning", "status"];
const RETRY_MS = { first: 500, most: 10_000 };

/** Keeps a dashboard up to date: listens to its server, and comes back to it when the connection is lost. */
export function follow(store: Store): void {
  let wait = RETRY_MS.first;
  const say = (connection: Connection) => {
    store.connection = connection;
    store.change("connection");
  };
  const connect = () => {
    say(store.connection === "lost" ? "lost" : "connecting");
    const source = new EventSource("events");
    listen(source, store, () => {
      wait = RETRY_MS.first;
      say("connected");
    });
    // The browser would try again by itself, but not after every kind of failure, and without a word.
    source.onerror = () => {
      source.close();
      if (haveEnded(store.data.runs)) return say("ended");
      say("lost");
      setTimeout(connect, wait);
      wait = Math.min(RETRY_MS.most, 2 * wait);
    };
  };
  connect();
}

/** Whether nothing is to be expected any more. */
export function haveEnded(runs: readonly PageRun[]): boolean {
  return runs.every(({ status }) => status !== "running" && status !== "paused");
}

function listen(source: EventSource, store: Store, onOpen: () => void): void {
  const on = <N extends keyof PageEvents>(name: N, handle: (value: PageEvents[N]) => void) => {
    source.addEventListener(name, (event) => handle(JSON.parse((event as MessageEvent<string>).data)));
  };
  source.onopen = onOpen;
  on("page", (data) => store.replace(data));
  on("progress", (progress) => {
    store.progress = progress;
    store.change("progress");
  });
  for (const name of CHANGES) on(name, (value) => store.change(...applyChange(store.data, name, value)));
}
