import { resolve } from "node:path";
import type { ModelNames } from "../adapters/index.js";
import { readRunConfig } from "../report/run-files.js";

/**
 * A branch on the hub moves; a run that goes on must not. So the run's config.yaml gets the commits that model and
 * adapter were loaded from, in place of what was asked for.
 */
export function withCommits<C extends ModelNames>(config: C, loaded: ModelNames): C {
  const pinned = loaded.revision !== undefined || (loaded.adapter !== undefined && PINNED.test(loaded.adapter));
  return pinned ? { ...config, ...loaded } : config;
}

/** What a resumed run began with; where it is now given another model or adapter, such as a folder, that one. */
export async function namesToResume(
  folder: string,
  asked: ModelNames,
  warn: (message: string) => void,
): Promise<ModelNames> {
  const { model, revision, adapter } = await readRunConfig(folder);
  const names = { model: asked.model, revision: asked.revision, adapter: asked.adapter };
  // A folder's name may hold an @ of its own.
  const same = (name: string) => [name, withoutRevision(name)].some((one) => resolve(one) === resolve(String(model)));
  if (typeof model === "string" && !same(asked.model)) {
    // A folder may have moved. What is not trained, and the reference policy, come from it.
    warn(`this run began with the model ${model}, and goes on with ${asked.model}: they must have the same weights`);
  }
  if (typeof revision === "string" && withoutRevision(asked.model) === model) {
    const named = asked.revision ?? asked.model.slice(model.length + 1);
    if (named !== "" && named !== revision) warn(goesOn(model, revision, named));
    Object.assign(names, { model, revision });
  }
  const commit = typeof adapter === "string" ? PINNED.exec(adapter) : null;
  if (commit !== null && asked.adapter !== undefined && withoutRevision(asked.adapter) === commit[1]) {
    const named = asked.adapter.slice(commit[1].length + 1);
    if (named !== "" && named !== commit[2]) warn(goesOn(commit[1], commit[2] as string, named));
    names.adapter = commit[0];
  }
  return names;
}

const PINNED = /^(.+)@([0-9a-f]{40})$/;

function withoutRevision(name: string): string {
  return name.split("@")[0] as string;
}

function goesOn(name: string, commit: string, asked: string): string {
  return `this run goes on with commit ${commit} of ${name}, which it began with, in place of revision ${asked}`;
}
