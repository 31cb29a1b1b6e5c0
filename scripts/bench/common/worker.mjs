import { createInterface } from "node:readline";
import { root } from "../../build/run.mjs";
import { spawnChild } from "./clean-up.mjs";
import { peakMemory } from "./others.mjs";

const MARK = "@bench ";
const LAST_LINES = 20;

/** What glibc's allocator is told. As it comes it gives large tensors back after every use and faults them in again. */
export const MALLOC = {
  default: {},
  tuned: {
    MALLOC_MMAP_MAX_: "0",
    MALLOC_TRIM_THRESHOLD_: "20000000000",
    MALLOC_TOP_PAD_: "268435456",
  },
};

/**
 * A child process that makes one step for every line it is sent, and answers each with a line of JSON. Between its
 * steps it is stopped: threads that wait for work by spinning would take a core from whoever's turn it is.
 */
export class Worker {
  constructor(name, command, args, env = {}) {
    this.name = name;
    this.waiting = [];
    this.answers = [];
    this.said = [];
    const stdio = ["pipe", "pipe", "pipe"];
    this.child = spawnChild(command, args, { cwd: root, env: { ...process.env, ...env }, stdio });
    this.child.on("error", (error) => this.fail(error));
    this.child.on("close", (code) => this.fail(new Error(`${name} ended with code ${code}`)));
    this.child.stdin.on("error", () => {});
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => this.take(line));
    }
  }

  get pid() {
    return this.child.pid;
  }

  /** What the worker says of itself once model and pictures are there. */
  ready() {
    return this.next();
  }

  step(line = "step") {
    this.child.kill("SIGCONT");
    this.child.stdin.write(`${line}\n`);
    return this.next();
  }

  /** The most memory that the process has held until now, in bytes. */
  peak() {
    // Linux counts pages in batches, so that its mark may be a little lower when it is read again.
    this.most = Math.max(this.most ?? 0, peakMemory(this.pid) ?? 0);
    return this.most > 0 ? this.most : undefined;
  }

  end() {
    this.ended = true;
    this.child.kill("SIGKILL");
  }

  next() {
    if (this.answers.length > 0) return Promise.resolve(this.answers.shift());
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  take(line) {
    if (!line.startsWith(MARK)) {
      this.said = [...this.said, line].slice(-LAST_LINES);
      return;
    }
    const answer = JSON.parse(line.slice(MARK.length));
    const waiter = this.waiting.shift();
    // Somebody may wait still: this was the answer to a line that nobody has patience for any more.
    if (this.waiting.length === 0) this.child.kill("SIGSTOP");
    if (waiter) waiter.resolve(answer);
    else this.answers.push(answer);
  }

  fail(error) {
    if (this.ended) return;
    this.failure = new Error(`${error.message}\n${this.said.join("\n")}`);
    for (const { reject } of this.waiting.splice(0)) reject(this.failure);
  }
}
