import {
  type ModelNames,
  type OpenedModel,
  type OpenModelOptions,
  openModel,
  resolveModelSource,
} from "../adapters/index.js";
import type { ProfileOption } from "../report/profile-trace.js";
import type { CliContext } from "./context.js";
import { showFetching } from "./fetching.js";
import { checkProfile, withProfile } from "./profiling.js";

export interface OpenOptions extends ModelNames, Omit<OpenModelOptions, "gradients" | "signal"> {
  /** Profile the use; the file of the trace. */
  profile?: ProfileOption;
}

export type LoadOptions = Pick<OpenModelOptions, "gradients"> & { signal: AbortSignal };

export type Opened = OpenedModel;

/** Opens a model, with its adapter, for the time of `use`, and frees it however that ends. */
export async function withModel<T>(
  context: CliContext,
  options: OpenOptions,
  loading: LoadOptions,
  use: (opened: Opened) => Promise<T>,
): Promise<T> {
  await checkProfile(options.profile);
  const source = await showFetching(context, (fetching) => resolveModelSource(options, fetching));
  const opened = await openModel(source, { ...options, ...loading });
  try {
    return await withProfile(options.profile, opened.engine, context, () => use(opened));
  } finally {
    opened.engine.dispose();
  }
}
