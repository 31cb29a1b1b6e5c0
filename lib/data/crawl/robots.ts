import robotsParser from "robots-parser";
import { CrawlFailure } from "./failure.js";
import { withTimeLimit } from "./time-limit.js";

/** What this program is called in a robots.txt, whatever User-Agent it is told to send. */
export const ROBOTS_NAME = "vlmr1-native";

/** Milliseconds: rules of many stars can keep their reader busy for minutes. */
const LONGEST_CHECK = 1000;
/** Seconds: who writes more means "never", and says so by Disallow. */
const LONGEST_DELAY = 3600;

// Its types say "export default" of what Node imports as the module itself.
const parse = robotsParser as unknown as typeof robotsParser.default;

export function robotsUrl(url: URL): string {
  return `${url.origin}/robots.txt`;
}

/** One origin's rules. They hold under this program's own name and under the name that its User-Agent begins with. */
export class RobotsFile {
  private readonly rules: ReturnType<typeof parse>;

  constructor(
    private readonly address: string,
    text: string,
  ) {
    this.rules = parse(address, text.replace(/^\uFEFF/, ""));
  }

  /** Throws `ERR_ACCESS` where a rule forbids `url`, or it takes too long to tell. */
  check(url: URL, userAgent: string): void {
    const tooLong = () =>
      new CrawlFailure("ERR_ACCESS", `${url.href}: ${this.address} takes longer than ${LONGEST_CHECK} ms to apply`, {
        hint: "Whether it allows this address is not known, so nothing is fetched.",
      });
    withTimeLimit(LONGEST_CHECK, () => this.apply(url, userAgent), tooLong);
  }

  private apply(url: URL, userAgent: string): void {
    for (const name of [ROBOTS_NAME, userAgent]) {
      if (this.rules.isAllowed(url.href, name) !== false) continue;
      const line = this.rules.getMatchingLineNumber(url.href, name);
      throw new CrawlFailure("ERR_ACCESS", `${url.href}: forbidden by ${this.address}, line ${line}`, {
        hint: "Ask the owners of the site, or take its data from where they offer it.",
      });
    }
  }

  /** Seconds; 0 where nothing is asked for. */
  crawlDelay(userAgent: string): number {
    const delays = [ROBOTS_NAME, userAgent].map((name) => this.rules.getCrawlDelay(name) ?? 0);
    return Math.min(LONGEST_DELAY, Math.max(0, ...delays.filter((delay) => !Number.isNaN(delay))));
  }
}

/** A robots.txt that cannot be read now forbids all for now. */
export function unreachableRobots(url: URL, cause: CrawlFailure): CrawlFailure {
  return new CrawlFailure(
    "ERR_NETWORK",
    `${url.origin}/robots.txt cannot be read, so nothing is fetched there now: ${cause.message}`,
    {
      later: true,
      cause,
    },
  );
}
