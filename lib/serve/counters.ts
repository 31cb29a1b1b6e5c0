/** What a server has done so far, and does now. */
export class Counters {
  readonly startedAt = Date.now();
  promptTokens = 0;
  completionTokens = 0;
  /** Ended requests by their status; 499: the client went away. */
  readonly requests = new Map<number, number>();

  count(status: number): void {
    this.requests.set(status, (this.requests.get(status) ?? 0) + 1);
  }

  /** Prometheus' text format; `rows` are the completions that have not ended, `requests` those that have none yet. */
  text({ rows, requests, maxNumSeqs }: { rows: number; requests: number; maxNumSeqs: number }): string {
    const running = Math.min(rows, maxNumSeqs);
    const byStatus = [...this.requests].sort(([a], [b]) => a - b);
    return [
      ...metric(
        "requests_total",
        "counter",
        "Requests for a completion that have ended, and all that were refused, by HTTP status.",
      ),
      ...byStatus.map(([status, count]) => `${PREFIX}requests_total{status="${status}"} ${count}`),
      ...metric("prompt_tokens_total", "counter", "Tokens of prompts.", this.promptTokens),
      ...metric("completion_tokens_total", "counter", "Tokens that were drawn.", this.completionTokens),
      ...metric("completions_running", "gauge", "Completions that grow.", running),
      ...metric("completions_waiting", "gauge", WAITING, rows - running + requests),
      "",
    ].join("\n");
  }
}

const WAITING = "Completions, and requests with pictures that are not decoded yet, that wait for room.";
const PREFIX = "vlmr1_";

function metric(name: string, type: string, help: string, value?: number): string[] {
  const head = [`# HELP ${PREFIX}${name} ${help}`, `# TYPE ${PREFIX}${name} ${type}`];
  return value === undefined ? head : [...head, `${PREFIX}${name} ${value}`];
}
