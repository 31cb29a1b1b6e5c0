import { toFileConfig } from "../config/index.js";
import type { Row } from "../data/datasets/index.js";
import { packageVersion } from "../engine/index.js";
import { renderPage } from "../page/html.js";
import { readPageRun } from "../page/read-run.js";
import { LiveFeed } from "../page/server/live-feed.js";
import { valuesOf } from "../page/server/live-run.js";
import { PictureShelf } from "../page/server/picture-shelf.js";
import { PageServer } from "../page/server/server.js";
import type { RunControl } from "./events.js";
import type { RunHost } from "./run.js";
import { ShownCompletions } from "./shown-completions.js";

/** The page of a run that goes on in this process. */
export interface Dashboard {
  /** With the token that commands need. */
  readonly url: string;
  /** Pages that are open. */
  readonly viewers: number;
  /** Whether the process stays alive for it; it does not, unless this is asked for. */
  keepProcess(keep: boolean): void;
  close(): Promise<void>;
}

export interface DashboardParts {
  host: RunHost;
  control: RunControl;
  /** Of the data that is trained on, once it is open. */
  rows(): readonly Row[] | undefined;
}

/**
 * Serves the page of a run and has it follow the run's events. What goes wrong with it later is a warning at most.
 *
 * @throws VlmR1Error `ERR_PORT_IN_USE`, or `ERR_CONFIG` for a host that is none of this machine's
 */
export async function openDashboard(parts: DashboardParts): Promise<Dashboard> {
  const { options, outputDir, events } = parts.host;
  const { plan } = options;
  const { dashboard, dashboardHost } = plan.config;
  const pictures = new PictureShelf();
  const feed = new LiveFeed({
    ...{ folder: outputDir, version: packageVersion(), objective: plan.objective },
    config: toFileConfig({ ...plan.config, outputDir }),
    read: () => readPageRun(outputDir, pictures, { completions: 0 }),
    learningRate: () => parts.control.learningRate,
    controls: controlsOf(parts.control),
  });
  const port = typeof dashboard === "number" ? dashboard : undefined;
  const serving = { host: dashboardHost, port, source: feed, render: renderPage, pictures, background: true };
  const server = await PageServer.open(serving);
  feed.attach(server);
  follow(parts, feed, pictures);
  if (server.isPublic) {
    events.warn(
      `the dashboard can be reached from other machines, without encryption; on a network that others use, leave ` +
        `dashboard_host at 127.0.0.1 and forward the port: ssh -L ${server.port}:127.0.0.1:${server.port} …`,
    );
  }
  return {
    url: server.url,
    get viewers() {
      return server.viewers;
    },
    keepProcess: (keep) => server.keepProcess(keep),
    close: async () => {
      await feed.close();
      await server.close();
    },
  };
}

function controlsOf(control: RunControl) {
  return {
    pause: () => control.pause(),
    continue: () => control.continue(),
    stop: () => control.stop("stopped on its dashboard"),
    setLearningRate: (value: number) => control.setLearningRate(value),
  };
}

function follow({ host, rows }: DashboardParts, feed: LiveFeed, pictures: PictureShelf): void {
  const { events, options, outputDir } = host;
  const { plan } = options;
  const completions = plan.objective === "grpo" && plan.config.logCompletions;
  const weights = plan.objective === "grpo" ? plan.config.rewardWeights : undefined;
  const shown = new ShownCompletions(rows, weights, pictures);
  events.on("download", ({ bytes, totalBytes }) =>
    feed.at({ phase: "fetching", fraction: bytes / Math.max(1, totalBytes) }),
  );
  events.on("start", async ({ firstStep, totalSteps }) =>
    feed.opened(firstStep, totalSteps, completions ? await shown.ofFolder(outputDir) : []),
  );
  events.on("progress", (progress) => feed.at(progress));
  events.on("step", ({ step, totalSteps, epoch, metrics }) =>
    feed.step({ step, totalSteps, values: valuesOf({ epoch, ...metrics }) }),
  );
  events.on("eval", ({ step, metrics }) => feed.evaluation({ step, values: valuesOf(metrics) }));
  events.on("warning", (message) => feed.warning(message));
  events.on("pause", () => feed.status("paused"));
  events.on("continue", () => feed.status("running"));
  events.on("end", ({ status, reason }) => feed.ended(status, reason));
  if (completions) events.on("rollout", async (rollout) => feed.completions(await shown.ofRollout(rollout)));
}
