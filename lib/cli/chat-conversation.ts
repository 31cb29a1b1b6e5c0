import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { VlmR1Error } from "../errors/index.js";
import { replaceJson } from "../files/index.js";
import { type Message, type Prompt, placeImages } from "../processing/index.js";
import { IMAGE_MARKER } from "../processing/messages.js";
import type { Opened } from "./open.js";

/** A message that was answered. */
interface Turn {
  text: string;
  /** Paths. */
  images: string[];
  answer: string;
}

/** What was said so far, and the pictures for the next message. */
export class Conversation {
  private turns: Turn[] = [];
  private pending: string[] = [];
  private saved: string | undefined;

  constructor(
    private readonly opened: Pick<Opened, "processor" | "model">,
    /** System message. */
    public system: string | undefined,
  ) {}

  get length(): number {
    return this.turns.length;
  }

  /** Pictures that go with the next message. */
  get pictures(): number {
    return this.pending.length;
  }

  /** Looks at a picture, so that a wrong one is known at once. */
  async attach(path: string, signal: AbortSignal): Promise<void> {
    await this.opened.processor.picture(path, { signal });
    this.pending.push(resolve(path));
  }

  reset(): void {
    this.turns = [];
    this.pending = [];
  }

  /** The prompt for the next answer, and how many tokens that may have; nothing is kept yet. */
  async prompt(text: string, maxNewTokens: number, signal: AbortSignal): Promise<{ prompt: Prompt; room: number }> {
    const { processor, model } = this.opened;
    const messages: Message[] = this.system === undefined ? [] : [{ role: "system", content: this.system }];
    for (const turn of this.turns) {
      messages.push(...userTurn(turn.text, turn.images), { role: "assistant", content: turn.answer });
    }
    messages.push(...userTurn(text, this.pending));
    const images = [...this.turns.flatMap((turn) => turn.images), ...this.pending];
    const prompt = await processor.prompt(messages, images, { signal });
    const length = model.info().maxPositionEmbeddings;
    const room = length - prompt.tokens.length;
    if (room > 0) return { prompt, room: Math.min(room, maxNewTokens) };
    throw new VlmR1Error("ERR_DATA", `the conversation has ${prompt.tokens.length} tokens, the model takes ${length}`, {
      hint: "/reset begins a new one (/save first keeps this one); smaller pictures (--max-pixels) take fewer tokens.",
    });
  }

  keep(text: string, answer: string): void {
    this.turns.push({ text, images: this.pending, answer });
    this.pending = [];
  }

  /** Writes a data set of one row, which `sft` can learn. A file that this conversation did not write stays. */
  async save(path: string): Promise<void> {
    const target = resolve(path);
    if (target !== this.saved && (await exists(target))) {
      throw new VlmR1Error("ERR_IO", `${path} exists already`, { hint: "Choose another name, or remove it first." });
    }
    const conversations = this.turns.flatMap(({ text, images, answer }) => [
      { from: "human", value: withMarkers(text, images.length) },
      { from: "gpt", value: answer },
    ]);
    if (this.system !== undefined) conversations.unshift({ from: "system", value: this.system });
    const row = { id: "chat", image: this.turns.flatMap(({ images }) => images), conversations };
    await replaceJson(target, [row], { what: "write the conversation to" });
    this.saved = target;
  }
}

function userTurn(text: string, images: readonly string[]): Message[] {
  return placeImages([{ role: "user", text }], images.length);
}

/** The text with a mark for every picture, where a message without marks has its pictures first. */
function withMarkers(text: string, images: number): string {
  return text.includes(IMAGE_MARKER) ? text : IMAGE_MARKER.repeat(images) + text;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
