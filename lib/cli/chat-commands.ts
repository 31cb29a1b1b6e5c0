import { homedir } from "node:os";
import { fileURLToPath } from "node:url";
import { usageError } from "../errors/index.js";

export type ChatCommand =
  | { kind: "message"; text: string }
  | { kind: "image"; paths: string[] }
  | { kind: "system"; text: string }
  | { kind: "save"; path: string }
  | { kind: "reset" | "help" | "exit" };

export const CHAT_HELP = `/image PATH …   send pictures with the next message; <image> marks where they stand in it
/system TEXT    set the system message; without TEXT show it
/reset          forget the conversation, keep the system message
/save FILE      write the conversation as a data set of one row
/help           this list
/exit           end; so does Ctrl-D
A backslash at a line's end, or """ around several lines, make a longer message. // begins a message with a slash.
Ctrl-C ends an answer, and at the prompt the chat.`;

const NAMES = ["image", "system", "save", "reset", "help", "exit"] as const;

/** What a message says, or asks of the chat itself. Throws `ERR_USAGE`. */
export function parseChatCommand(message: string): ChatCommand {
  if (message.startsWith("//")) return { kind: "message", text: message.slice(1) };
  const [, word = "", rest = ""] = /^\/(\S*)\s*([\s\S]*)$/.exec(message) ?? [];
  if (!message.startsWith("/")) return { kind: "message", text: message };
  const name = NAMES.find((known) => known === word.toLowerCase());
  const text = rest.trim();
  switch (name) {
    case undefined:
      throw usageError(`there is no command /${word}`, `${adviceOn(word)}; // begins a message with a slash.`);
    case "image": {
      const paths = splitPaths(text);
      if (paths.length === 0) throw usageError("/image needs a picture's path");
      return { kind: name, paths };
    }
    case "save": {
      const [path, ...more] = splitPaths(text);
      if (path === undefined || more.length > 0)
        throw usageError("/save needs one file's name; quote a name with spaces");
      return { kind: name, path };
    }
    case "system":
      return { kind: name, text };
    default:
      if (text !== "") throw usageError(`/${name} takes nothing behind it, got "${text}"`);
      return { kind: name };
  }
}

/** A file that was dropped on the terminal looks like a command too. */
function adviceOn(word: string): string {
  return word.includes("/") ? "A picture is sent by /image PATH" : "/help lists them";
}

/**
 * Paths as a shell reads them, and as terminals write dropped files: in quotes, with a backslash before a space, or as
 * file:// address; `~/` is the home folder.
 */
export function splitPaths(text: string): string[] {
  const words = text.match(/(?:\\[\s\S]|"[^"]*"|'[^']*'|[^\s\\"']|["'\\])+/g) ?? [];
  return words.map((word) => {
    const path = word.replace(
      /\\([\s\S])|"([^"]*)"|'([^']*)'/g,
      (_, escaped?: string, double?: string, single?: string) => {
        return escaped ?? double ?? single ?? "";
      },
    );
    if (/^file:\/\//i.test(path)) return pathOfUrl(path);
    return path.replace(/^~(?=\/|$)/, homedir);
  });
}

function pathOfUrl(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw usageError(`${url} is no file of this machine`, "Give its path.");
  }
}
