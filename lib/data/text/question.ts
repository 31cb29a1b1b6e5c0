import type { Row } from "../datasets/index.js";

/** The text of a row's last question. */
export function questionOf({ messages }: Row): string {
  const content = messages.findLast(({ role }) => role === "user")?.content ?? "";
  if (typeof content === "string") return content.trim();
  return content
    .flatMap((part) => (part.type === "text" ? [part.text] : []))
    .join("")
    .trim();
}
