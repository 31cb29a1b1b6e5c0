import { VlmR1Error } from "../errors/index.js";

/** Who asked for what; for messages. */
export interface Question {
  repository: string;
  revision: string;
  /** Undefined: about the repository itself. */
  file?: string;
  endpoint: string;
  /** Whether an access token was sent. */
  authorised: boolean;
}

/** The error for an answer that trying again would not change. */
export async function refusal(response: Response, question: Question): Promise<VlmR1Error> {
  const { repository, revision, file, endpoint, authorised } = question;
  const { status } = response;
  const code = response.headers.get("X-Error-Code");
  const said = await reasonIn(response);
  if (code === "GatedRepo" || status === 403) return gated(question, said);
  if (code === "RevisionNotFound") {
    return new VlmR1Error("ERR_NOT_FOUND", `${repository} has no revision "${revision}"`, {
      hint: `A revision is a branch, a tag or a commit; see ${endpoint}/${repository}/tree/main.`,
    });
  }
  if (code === "EntryNotFound") return new VlmR1Error("ERR_NOT_FOUND", `${repository} at ${revision} has no ${file}`);
  if (status === 401 && authorised && code !== "RepoNotFound") {
    return new VlmR1Error("ERR_ACCESS", `${endpoint} did not accept the access token${said}`, {
      hint: "Make a new one in the settings of your account and put it into HF_TOKEN, or unset it for public models.",
    });
  }
  if (status === 401 || status === 404) return missing(question);
  return new VlmR1Error("ERR_NETWORK", `${endpoint} answered ${status} for ${repository}${said}`);
}

function gated({ repository, endpoint, authorised }: Question, said: string): VlmR1Error {
  const token = authorised
    ? "check that the token in HF_TOKEN belongs to that account and may read gated repositories"
    : "set HF_TOKEN to an access token of that account";
  return new VlmR1Error("ERR_ACCESS", `${repository} may not be read${said}`, {
    hint: `Accept the model's licence at ${endpoint}/${repository}, and ${token}.`,
  });
}

/** The Hub does not tell private repositories from those that do not exist. */
function missing({ repository, endpoint, authorised }: Question): VlmR1Error {
  const token = authorised ? "" : " For a private one set HF_TOKEN.";
  const message = `there is neither a folder ${repository} here nor a repository of that name on ${endpoint}`;
  return new VlmR1Error("ERR_NOT_FOUND", message, { hint: `Check the spelling.${token}` });
}

/** ": …" with the server's own words, in a line. */
async function reasonIn(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  const said = response.headers.get("X-Error-Message") ?? errorField(text);
  return said === undefined ? "" : `: ${said.replace(/\s+/g, " ").slice(0, 300)}`;
}

function errorField(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === "string" ? error : undefined;
  } catch {
    return undefined;
  }
}
