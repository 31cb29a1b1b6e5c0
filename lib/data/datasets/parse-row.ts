import { isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { VlmR1Error } from "../../errors/index.js";
import { type Message, placeImages } from "../../processing/index.js";
import type { Row } from "./row.js";

const ROLES: Readonly<Record<string, Message["role"]>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  system: "system",
};

const Pictures = z.union([z.string().min(1), z.array(z.string().min(1))], "expected a path or a list of paths");

const Conversation = z.looseObject({
  id: z.union([z.string(), z.number()], "expected a text or a number").optional(),
  image: Pictures.nullish(),
  images: Pictures.nullish(),
  solution: z.string().optional(),
  conversations: z
    .array(
      z.looseObject({
        from: z.enum(Object.keys(ROLES), `expected one of ${Object.keys(ROLES).join(", ")}`),
        value: z.string("expected a text"),
      }),
      "expected a list of turns",
    )
    .min(1, "expected at least one turn"),
});

/** Reads one row of conversations JSON; throws `ERR_DATA` with what is wrong. */
export function parseRow(value: unknown, imageFolder: string, defaultId: string): Row {
  const result = Conversation.safeParse(value, { reportInput: true });
  if (!result.success) throw new VlmR1Error("ERR_DATA", result.error.issues.map(describeIssue).join("; "));
  const { id, image, images, conversations, solution } = result.data;
  if (image != null && images != null) throw new VlmR1Error("ERR_DATA", "give either image or images, not both");
  const paths = [image ?? images ?? []].flat().map((path) => picturePath(path, imageFolder));
  const turns = conversations.map(({ from, value: text }) => ({ role: ROLES[from] ?? "user", text }));
  const answer = turns.at(-1)?.role === "assistant" ? turns.pop() : undefined;
  if (turns.at(-1)?.role !== "user") {
    throw new VlmR1Error("ERR_DATA", "the conversation must end with a human turn, or one and its answer");
  }
  return {
    id: id === undefined ? defaultId : String(id),
    messages: placeImages(turns, paths.length),
    images: paths,
    solution: answer?.text ?? solution ?? "",
    raw: value as Record<string, unknown>,
  };
}

function picturePath(path: string, folder: string): string {
  if (/^(https?|data):/i.test(path)) {
    throw new VlmR1Error("ERR_DATA", `expected a picture's path, got the address ${path.slice(0, 60)}`);
  }
  return isAbsolute(path) ? path : resolve(folder, path);
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const missing = issue.code === "invalid_type" && issue.input === undefined;
  return `${path.replace(/^\./, "") || "the row"}: ${missing ? "is missing" : issue.message}`;
}
