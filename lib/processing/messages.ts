import { VlmR1Error } from "../errors/index.js";

export type ContentPart = { type: "text"; text: string } | { type: "image" };

/** One turn of a conversation. The pictures of a conversation are given beside it, in the order of its image parts. */
export interface Message {
  role: "system" | "user" | "assistant";
  content: string | ContentPart[];
}

export const IMAGE_MARKER = "<image>";

export function countMarkers(text: string): number {
  return text.split(IMAGE_MARKER).length - 1;
}

export function countImages(messages: readonly Message[]): number {
  let count = 0;
  for (const { content } of messages) {
    if (typeof content !== "string") count += content.filter((part) => part.type === "image").length;
  }
  return count;
}

/** The text with a picture for each `<image>`, exactly where it stands. Without markers the text itself. */
export function splitMarkers(text: string): string | ContentPart[] {
  const pieces = text.split(IMAGE_MARKER);
  if (pieces.length === 1) return text;
  return pieces.flatMap((piece, index): ContentPart[] => {
    const part: ContentPart[] = piece === "" ? [] : [{ type: "text", text: piece }];
    return index === 0 ? part : [{ type: "image" }, ...part];
  });
}

/**
 * Puts `images` pictures into turns whose texts may hold `<image>` markers: where the markers stand, or, where there
 * are none, before the first user turn's text. Markers are read in system and user turns; an answer's text is kept.
 */
export function placeImages(turns: readonly { role: Message["role"]; text: string }[], images: number): Message[] {
  const marked = (role: Message["role"]) => role !== "assistant";
  const markers = turns.reduce((sum, { role, text }) => sum + (marked(role) ? countMarkers(text) : 0), 0);
  if (markers !== 0 && markers !== images) {
    throw new VlmR1Error("ERR_DATA", `${markers} ${IMAGE_MARKER} markers, but ${images} pictures`, {
      hint: `Write one ${IMAGE_MARKER} per picture, or none to have the pictures first.`,
    });
  }
  const firstUser = turns.findIndex(({ role }) => role === "user");
  if (images > 0 && firstUser < 0)
    throw new VlmR1Error("ERR_DATA", "there are pictures, but no user turn to put them in");
  return turns.map(({ role, text }, index): Message => {
    if (markers > 0 && marked(role)) return { role, content: splitMarkers(text) };
    if (markers > 0 || images === 0 || index !== firstUser) return { role, content: text };
    const pictures = Array.from({ length: images }, (): ContentPart => ({ type: "image" }));
    return { role, content: text === "" ? pictures : [...pictures, { type: "text", text }] };
  });
}
