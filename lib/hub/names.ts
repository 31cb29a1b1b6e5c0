import { usageError, VlmR1Error } from "../errors/index.js";

/** A model repository on the Hugging Face Hub, at a branch, tag or commit. */
export interface HubName {
  /** "org/name". */
  repository: string;
  /** Undefined: nobody asked for one, which means main. */
  revision: string | undefined;
}

export const DEFAULT_REVISION = "main";

const REPOSITORY = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][\w.-]{0,95}$/;
const COMMIT = /^[0-9a-f]{40}$/;
const EXAMPLE = "Qwen/Qwen2.5-VL-3B-Instruct";

export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** "org/name" or "org/name@revision"; the revision may also stand by itself. */
export function parseHubName(text: string, revision?: string): HubName {
  const at = text.indexOf("@");
  const repository = at < 0 ? text : text.slice(0, at);
  const inName = at < 0 ? undefined : text.slice(at + 1);
  if (isPathLike(repository) || !isRepository(repository)) throw notFound(text);
  if (inName !== undefined && revision !== undefined && inName !== revision) {
    throw usageError(`"${text}" and revision "${revision}" name two revisions`, "Give one of them.");
  }
  const wanted = inName ?? revision;
  if (wanted !== undefined) checkRevision(wanted);
  return { repository, revision: wanted };
}

/** Such a text is never a name on the Hub. */
function isPathLike(text: string): boolean {
  return /^[./~\\]|^[A-Za-z]:|\\|\/.*\/|^$/.test(text);
}

function isRepository(text: string): boolean {
  return REPOSITORY.test(text) && !/--|\.\.|\.git$|[.-](\/|$)/.test(text);
}

/** It becomes a file's path in the cache, so what git itself forbids must not come through. */
function checkRevision(revision: string): void {
  const parts = revision.split("/");
  const bad =
    /[^!-}\u00a0-\uffff]|[\^:?*[\\]/.test(revision) || parts.some((part) => part === "" || /^\.|\.\./.test(part));
  if (!bad) return;
  throw usageError(`"${revision}" is not a revision`, "A revision is a branch, a tag or a commit, such as main.");
}

function notFound(text: string): VlmR1Error {
  return new VlmR1Error("ERR_NOT_FOUND", `there is no folder "${text}", and it is no name on the Hub`, {
    hint: `A model is a Hugging Face folder (config.json, tokenizer.json, model.safetensors) or a name such as ${EXAMPLE}.`,
  });
}
