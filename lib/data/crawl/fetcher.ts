import { checkLiteral, type Refuse } from "./addresses.js";
import { CrawlFailure } from "./failure.js";
import type { Answer, Headers, HttpClient, Want } from "./http.js";
import { backOff, type Clock, type HostPace } from "./pace.js";
import { ROBOTS_NAME, RobotsFile, robotsUrl, unreachableRobots } from "./robots.js";

export interface FetchSettings {
  retries: number;
  maxRedirects: number;
  /** Milliseconds. */
  firstWait: number;
  longestWait: number;
  longestAskedWait: number;
  headers: Headers;
  /** Origins of the site that is crawled: pages may name any other. */
  origins: ReadonlySet<string>;
  refuse: Refuse;
  signal: AbortSignal | undefined;
  onNotice: (message: string) => void;
}

/** Headers that only say what asks. Others may hold keys, and are for the site that they were given for. */
const FOR_ALL = new Set(["user-agent", "referer", "accept", "accept-language"]);
/** RFC 9309: at least the first 500 KiB have to be read. */
const ROBOTS_LIMIT = 500 * 1024;
const ROBOTS_WANT: Want = { limit: ROBOTS_LIMIT, cut: true, accept: "text/plain,*/*;q=0.5" };

/** Fetches with tries, redirects, pauses, and what robots.txt allows. */
export class Fetcher {
  private readonly headers: Headers;
  private readonly robots = new Map<string, Promise<RobotsFile>>();
  /** Requests that went out, robots.txt included. */
  requests = 0;

  constructor(
    private readonly http: HttpClient,
    private readonly pace: HostPace,
    private readonly clock: Clock,
    private readonly settings: FetchSettings,
  ) {
    const given = Object.entries(settings.headers).map(([name, value]) => [name.toLowerCase(), value]);
    this.headers = { "user-agent": ROBOTS_NAME, ...Object.fromEntries(given) };
  }

  private get userAgent(): string {
    return this.headers["user-agent"] ?? ROBOTS_NAME;
  }

  /** `pause`: milliseconds before it. Throws `CrawlFailure` with the number of tries, or the reason of an abort. */
  fetch(address: string, pause: number, want: Want): Promise<Answer> {
    return this.patiently(address, () => this.follow(address, pause, want, true));
  }

  /** Asks only robots.txt: throws where `address` may not be fetched. */
  async checkAllowed(address: string, pause: number): Promise<void> {
    const url = new URL(address);
    this.robots.set(url.origin, this.robots.get(url.origin) ?? this.loadRobots(url, pause));
    const robots = (await this.robots.get(url.origin)) as RobotsFile;
    robots.check(url, this.userAgent);
  }

  private async patiently(address: string, work: () => Promise<Answer>): Promise<Answer> {
    const { retries, firstWait, longestWait, longestAskedWait, onNotice, signal } = this.settings;
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof CrawlFailure)) throw error;
        error.tries = tries;
        const { askedWait = 0 } = error;
        if (!error.retry || tries > retries || askedWait > longestAskedWait) throw error;
        this.pace.hold(error.host ?? new URL(address).host, askedWait);
        const wait = Math.max(askedWait, backOff(address, tries, firstWait, longestWait));
        onNotice(`${error.message}; trying again in ${(wait / 1000).toFixed(wait < 10_000 ? 1 : 0)} s`);
        await this.clock.sleep(wait, signal);
      }
    }
  }

  private async follow(address: string, pause: number, want: Want, robots: boolean): Promise<Answer> {
    const seen = new Set<string>();
    let url = checkedUrl(address, this.settings.refuse);
    for (;;) {
      seen.add(url.href);
      if (robots) await this.checkAllowed(url.href, pause);
      const answer = await this.request(url, pause, want);
      if (answer.location === undefined) return answer;
      const next = checkedUrl(answer.location, this.settings.refuse, url);
      if (seen.has(next.href)) throw new CrawlFailure("ERR_NETWORK", `${address}: redirects go round in a circle`);
      if (seen.size > this.settings.maxRedirects) {
        throw new CrawlFailure("ERR_NETWORK", `${address}: more than ${this.settings.maxRedirects} redirects`);
      }
      url = next;
    }
  }

  private request(url: URL, pause: number, want: Want): Promise<Answer> {
    const isOwn = this.settings.origins.has(url.origin);
    const own = Object.entries(this.headers).filter(([name]) => isOwn || FOR_ALL.has(name));
    return this.pace.run(url.host, pause, () => {
      this.requests += 1;
      return this.http.get(url, want, Object.fromEntries(own));
    });
  }

  private async loadRobots(url: URL, pause: number): Promise<RobotsFile> {
    const address = robotsUrl(url);
    const robots = await this.patiently(address, () => this.follow(address, pause, ROBOTS_WANT, false)).then(
      ({ body }) => new RobotsFile(address, body.toString("utf8")),
      (error: unknown) => {
        if (!(error instanceof CrawlFailure)) throw error;
        if (error.code === "ERR_PRIVATE_ADDRESS") throw error;
        // "There is none" allows everything; "not now" allows nothing.
        const { status = 500, retry } = error;
        if (status < 500 && !retry) return new RobotsFile(address, "");
        throw unreachableRobots(url, error);
      },
    );
    const delay = robots.crawlDelay(this.userAgent) * 1000;
    this.pace.setCrawlDelay(url.host, delay);
    if (delay > pause) this.settings.onNotice(`${address} asks for pauses of ${delay / 1000} s, which are made`);
    return robots;
  }
}

/** Only the web, no passwords in addresses, no step from https back to http, no private address by its number. */
function checkedUrl(address: string, refuse: Refuse, from?: URL): URL {
  const refused = (code: string, why: string, hint?: string) => new CrawlFailure(code, `${address}: ${why}`, { hint });
  if (!URL.canParse(address)) throw refused("ERR_DATA", "not an address");
  const url = new URL(address);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw refused("ERR_DATA", `${url.protocol} is not fetched`);
  if (url.username !== "" || url.password !== "") {
    throw new CrawlFailure("ERR_ACCESS", `${url.host}: addresses with a user or a password are not fetched`, {
      hint: "Put an Authorization header into the site's headers.",
    });
  }
  if (from?.protocol === "https:" && url.protocol === "http:") {
    throw refused("ERR_NETWORK", `a redirect from https to http (at ${from.href}) is not followed`);
  }
  checkLiteral(url.hostname, refuse);
  url.hash = "";
  return url;
}
