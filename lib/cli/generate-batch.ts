import { createReadStream } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Readable } from "node:stream";
import { z } from "zod";
import { holdManyPictures } from "../data/encode-rows.js";
import { neighbours } from "../data/neighbours.js";
import type { NativeCompletion } from "../engine/index.js";
import { fromSystem, isAbort, VlmR1Error } from "../errors/index.js";
import { type Message, type Prompt, placeImages } from "../processing/index.js";
import { completionJson } from "./completion-json.js";
import type { CliContext } from "./context.js";
import { type GenerateConfig, samplingOf } from "./generate-options.js";
import { type Opened, withModel } from "./open.js";
import { printJson, StatusLine, warn, writeAnswer } from "./output.js";
import { linesOf, standardInput } from "./standard-input.js";

const Pictures = z.union([z.string().min(1), z.array(z.string().min(1))], "expected a path or a list of paths");
const Question = z.looseObject({
  prompt: z.string("expected a text"),
  image: Pictures.nullish(),
  images: Pictures.nullish(),
  system: z.string("expected a text").nullish(),
  id: z.union([z.string(), z.number()], "expected a text or a number").nullish(),
});

/** A line of the file; `place` counts from 0 and names its random numbers. */
interface Item {
  place: number;
  id: string | number;
  prompt: Prompt;
}

/** Prompts that the engine gets at once, over those that it answers at once, so that it has others to go on with. */
const AHEAD = 4;

/**
 * Answers the prompts of a JSONL file in their order, many at a time. An answer depends on its line, the line's number
 * and the seed. What is wrong with a line is told, and the others go on.
 */
export async function answerFile(
  config: GenerateConfig,
  path: string,
  json: boolean,
  context: CliContext,
): Promise<void> {
  const { signal } = context;
  const stream = await openStream(path);
  await withModel(context, config, { signal }, async (opened) => {
    const batch = new Batch(config, json, context, opened, path === "-" ? process.cwd() : dirname(resolve(path)));
    let place = -1;
    for await (const line of linesOf(stream, path, signal)) {
      place += 1;
      if (line.trim() !== "") await batch.add(place === 0 ? line.replace(/^\uFEFF/, "") : line, place);
    }
    await batch.finish();
  });
}

async function openStream(path: string): Promise<Readable> {
  if (path === "-") return standardInput();
  const stream = createReadStream(path);
  // A wrong name is to be known before the weights are loaded.
  await new Promise<void>((done, failed) => {
    stream.once("ready", () => done());
    stream.once("error", (error) => failed(fromSystem(error, "read the prompts", path)));
  });
  return stream;
}

class Batch {
  private waiting: Item[] = [];
  /** Lines of output for those that were refused, which have their turn behind the answers before them. */
  private refusals: { place: number; record: object }[] = [];
  private answered = 0;
  private refused = 0;
  private readonly status: StatusLine;

  constructor(
    private readonly config: GenerateConfig,
    private readonly json: boolean,
    private readonly context: CliContext,
    private readonly opened: Opened,
    private readonly folder: string,
  ) {
    this.status = new StatusLine(context);
  }

  async add(line: string, place: number): Promise<void> {
    let id: string | number = place + 1;
    try {
      const question = parseQuestion(line);
      id = question.id ?? id;
      this.waiting.push({ place, id, prompt: await this.encode(question) });
    } catch (error) {
      this.refuse({ place, id }, error);
    }
    const most = AHEAD * (this.config.maxNumSeqs || Number.POSITIVE_INFINITY);
    if (this.waiting.length === 0) this.printRefusals();
    else if (this.waiting.length >= most || holdManyPictures(this.waiting)) await this.flush();
  }

  async finish(): Promise<void> {
    await this.flush();
    this.status.clear();
    const { answered, refused } = this;
    if (answered === 0) throw new VlmR1Error("ERR_DATA", "not a single prompt could be answered");
    if (refused > 0) warn(this.context, `${refused} of ${answered + refused} prompts were not answered`);
  }

  private async encode({ prompt, image, images, system }: z.output<typeof Question>): Promise<Prompt> {
    if (image != null && images != null) throw new VlmR1Error("ERR_DATA", "give either image or images, not both");
    const paths = [image ?? images ?? []].flat().map((path) => resolve(this.folder, path));
    const turns: { role: Message["role"]; text: string }[] = [{ role: "user", text: prompt }];
    if (system != null) turns.unshift({ role: "system", text: system });
    const { processor, model } = this.opened;
    const made = await processor.prompt(placeImages(turns, paths.length), paths, { signal: this.context.signal });
    const most = model.info().maxPositionEmbeddings - this.config.maxNewTokens;
    if (made.tokens.length <= most) return made;
    const message = `the prompt takes ${made.tokens.length} tokens, and max_new_tokens leaves ${Math.max(0, most)}`;
    throw new VlmR1Error("ERR_DATA", `${message} of the model's positions`);
  }

  private async flush(): Promise<void> {
    const items = this.waiting;
    this.waiting = [];
    for (const run of neighbours(items, ({ place }) => place)) await this.answer(run);
    this.printRefusals();
  }

  /** Where the engine does not take one of several prompts, each is tried alone. */
  private async answer(items: readonly Item[]): Promise<void> {
    let completions: NativeCompletion[][];
    try {
      completions = await this.generate(items);
    } catch (error) {
      if (!(error instanceof VlmR1Error) || !OF_A_PROMPT.has(error.code)) throw error;
      const [only] = items;
      if (items.length > 1) for (const item of items) await this.answer([item]);
      else if (only !== undefined) this.refuse(only, error);
      return;
    }
    this.status.clear();
    for (const [index, item] of items.entries()) this.print(item, completions[index] ?? []);
    this.answered += items.length;
  }

  private generate(items: readonly Item[]): Promise<NativeCompletion[][]> {
    const { config, opened, context, answered } = this;
    return opened.model.generate({
      prompts: items.map(({ prompt }) => prompt),
      ...{ n: config.n, maxRows: config.maxNumSeqs, seed: config.seed, firstRow: items[0]?.place },
      sampling: samplingOf(config, opened.processor),
      signal: context.signal,
      onProgress: ({ tokens, finished, total }) => {
        const answers = `${finished} of ${total} answers`;
        this.status.show(`${answered} prompts answered; of the next ${items.length}: ${answers}, ${tokens} tokens`);
      },
    });
  }

  private print({ place, id, prompt }: Item, completions: readonly NativeCompletion[]): void {
    this.printRefusals(place);
    const { context, opened, json } = this;
    for (const [index, completion] of completions.entries()) {
      const several = completions.length > 1;
      const record = completionJson(opened.processor, completion, [...prompt.tokens]);
      if (json) printJson(context, { id, ...(several ? { index } : {}), ...record });
      else {
        const cut = completion.finishReason === "length" ? " (cut at --max-new-tokens)" : "";
        const which = several ? `, ${index + 1} of ${completions.length}` : "";
        writeAnswer(context, `--- ${id}${which}${cut}\n${record.text}\n`);
      }
    }
  }

  private refuse({ place, id }: Pick<Item, "place" | "id">, error: unknown): void {
    const { context, json } = this;
    if (!(error instanceof VlmR1Error) || isAbort(error, context.signal)) throw error;
    this.refused += 1;
    this.status.clear();
    warn(context, `line ${place + 1} (${id}): ${error.message}`);
    if (json) this.refusals.push({ place, record: { id, error: { code: error.code, message: error.message } } });
  }

  private printRefusals(before = Number.POSITIVE_INFINITY): void {
    const due = this.refusals.filter(({ place }) => place < before);
    this.refusals = this.refusals.filter(({ place }) => place >= before);
    for (const { record } of due) printJson(this.context, record);
  }
}

/** Errors that are about what was asked, not about the engine. */
const OF_A_PROMPT: ReadonlySet<string> = new Set(["ERR_TOKENS", "ERR_ARGUMENT", "ERR_SHAPE"]);

function parseQuestion(line: string): z.output<typeof Question> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new VlmR1Error("ERR_DATA", `not JSON: ${(cause as Error).message}`, { cause });
  }
  const result = Question.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const [{ path, message, input }] = result.error.issues as [z.core.$ZodIssue];
  const missing = input === undefined ? "is missing" : message;
  throw new VlmR1Error("ERR_DATA", `${path.join(".") || "the line"}: ${missing}`);
}
