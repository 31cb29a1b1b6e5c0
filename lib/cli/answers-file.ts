import { type FileHandle, open, readFile } from "node:fs/promises";
import { fromSystem } from "../errors/index.js";
import { type EvaluatedAnswer, parseRecord, type RecordedAnswer, recordedAnswer } from "../eval/index.js";
import { replaceFile } from "../files/index.js";
import { type AnswersOptions, checkOptions, writeOptions } from "./answers-options.js";
import type { CliContext } from "./context.js";
import { warn } from "./output.js";

const WRITE = "write the answers to";

/**
 * The answers of an evaluation as they come, a line each. What the file holds stays until the first answers are there; what
 * is written then survives whatever ends the evaluation.
 */
export class AnswersFile {
  private file: FileHandle | undefined;
  private count = 0;

  private constructor(
    private readonly path: string,
    private readonly flags: "w" | "a",
    /** What is to be written beside the answers; undefined where answers that stay have it, or nobody knows theirs. */
    private readonly options: AnswersOptions | undefined,
  ) {}

  /** Throws where the file cannot be written: that is to be known before a model has answered anything. */
  static async at(path: string, options: AnswersOptions): Promise<AnswersFile> {
    await checkWritable(path);
    return new AnswersFile(path, "w", options);
  }

  /** Goes on behind the answers that `keep` keeps of those that the file holds; a line that was cut off goes too. */
  static async behind(
    path: string,
    options: AnswersOptions,
    keep: (answers: RecordedAnswer[]) => EvaluatedAnswer[],
    context: CliContext,
  ): Promise<AnswersFile> {
    await checkWritable(path);
    const text = await readAnswers(path);
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const kept = whole.trim() === "" ? [] : keep(parseRecord(whole, path).answers);
    if (kept.length > 0 && !(await checkOptions(path, options))) {
      warn(context, `nothing says of which model and options the ${kept.length} answers in ${path} are`);
    }
    const lines = linesOf(kept);
    if (lines !== text) await replaceFile(path, { what: WRITE }, (file) => file.writeFile(lines));
    const file = new AnswersFile(path, "a", kept.length === 0 ? options : undefined);
    file.count = kept.length;
    return file;
  }

  async add(answers: readonly EvaluatedAnswer[]): Promise<void> {
    try {
      if (this.file === undefined) await this.begin();
      await this.file?.writeFile(linesOf(answers));
    } catch (error) {
      throw fromSystem(error, WRITE, this.path);
    }
    this.count += answers.length;
  }

  /** Earlier answers go before the options of the new ones come: what stands beside answers is never of others. */
  private async begin(): Promise<void> {
    this.file = await open(this.path, this.flags);
    if (this.options !== undefined && (await this.file.stat()).isFile()) await writeOptions(this.path, this.options);
  }

  /** Says what is there of an evaluation that did not come to its end. */
  tell(context: CliContext): void {
    if (this.count === 0) return;
    context.stderr.write(
      `${this.count} answers are in ${this.path}; the same command with --resume goes on with them\n`,
    );
  }

  async close(): Promise<void> {
    try {
      await this.file?.close();
    } catch (error) {
      throw fromSystem(error, WRITE, this.path);
    }
  }
}

function linesOf(answers: readonly EvaluatedAnswer[]): string {
  return answers.map((answer) => `${JSON.stringify(recordedAnswer(answer))}\n`).join("");
}

async function checkWritable(path: string): Promise<void> {
  try {
    await (await open(path, "a")).close();
  } catch (error) {
    throw fromSystem(error, WRITE, path);
  }
}

async function readAnswers(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw fromSystem(error, "read the answers", path);
  }
}
