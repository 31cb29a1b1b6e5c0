import type { PageData, PageRun } from "../page-data.js";
import { runNames } from "../run-names.js";
import { FolderRun } from "./folder-run.js";
import type { PageServer, PageSource } from "./server.js";

/** Milliseconds between two looks into the folders. */
const LOOK_MS = 1000;

export interface FoldersFeedOptions {
  /** This package's. */
  version: string;
  read(folder: string): Promise<PageRun>;
  lookMs?: number | undefined;
}

/** Runs as their folders have them, one or several side by side; those that are still being written are followed. */
export class FoldersFeed implements PageSource {
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> = Promise.resolve();
  private readonly made = new Date().toISOString();

  private constructor(
    private readonly runs: readonly FolderRun[],
    private readonly options: FoldersFeedOptions,
  ) {}

  /** Throws where one of the folders holds no run. */
  static async open(folders: readonly string[], options: FoldersFeedOptions): Promise<FoldersFeed> {
    const runs = folders.map((folder) => new FolderRun(folder, options.read));
    for (const run of runs) await run.read();
    return new FoldersFeed(runs, options);
  }

  page(): PageData {
    const names = runNames(this.runs.map(({ folder }) => folder));
    const runs = this.runs.map(({ run }, index) => ({ ...run, name: names[index] ?? run.name }));
    const title = runs.map(({ name }) => name).join(", ");
    const live = { canControl: false, learningRate: runs[0]?.steps.values.learning_rate?.at(-1) ?? 0 };
    return { kind: "dashboard", title, version: this.options.version, made: this.made, runs, pictures: [], live };
  }

  /** Tells the server's pages what comes, from now on. */
  follow(server: PageServer): void {
    const look = () => {
      this.looking = this.lookAtAll(server).finally(() => {
        this.timer = setTimeout(look, this.options.lookMs ?? LOOK_MS);
      });
    };
    this.timer = setTimeout(look, this.options.lookMs ?? LOOK_MS);
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.looking;
    clearTimeout(this.timer);
  }

  private async lookAtAll(server: PageServer): Promise<void> {
    let all = false;
    for (const folder of this.runs) {
      // A folder that is being written, or is gone, is looked at again.
      const news = await folder.look().catch(() => ({ kind: "nothing" }) as const);
      // Events are those of the one run that a page follows.
      if (news.kind === "lines" && this.runs.length === 1) {
        for (const { name, data } of news.events) server.send(name, data as never);
      } else if (news.kind !== "nothing") all = true;
    }
    if (all) server.send("page", this.page());
  }
}
