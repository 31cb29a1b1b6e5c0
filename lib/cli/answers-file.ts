import { type FileHandle, open, readFile } from "node:fs/promises";
import { fromSystem } from "../errors/index.js";
import { type EvaluatedAnswer, parseRecord, type RecordedAnswer, recordedAnswer } from "../eval/index.js";
import { replaceFile } from "../files/index.js";
import type { CliContext } from "./context.js";

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
  ) {}

  /** Throws where the file cannot be written: that is to be known before a model has answered anything. */
  static async at(path: string): Promise<AnswersFile> {
    await checkWritable(path);
    return new AnswersFile(path, "w");
  }

  /** Goes on behind the answers that `keep` keeps of those that the file holds; a line that was cut off goes too. */
  static async behind(path: string, keep: (answers: RecordedAnswer[]) => EvaluatedAnswer[]): Promise<AnswersFile> {
    await checkWritable(path);
    const text = await readAnswers(path);
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const kept = whole.trim() === "" ? [] : keep(parseRecord(whole, path).answers);
    const lines = linesOf(kept);
    if (lines !== text) await replaceFile(path, { what: WRITE }, (file) => file.writeFile(lines));
    const file = new AnswersFile(path, "a");
    file.count = kept.length;
    return file;
  }

  async add(answers: readonly EvaluatedAnswer[]): Promise<void> {
    try {
      this.file ??= await open(this.path, this.flags);
      await this.file.writeFile(linesOf(answers));
    } catch (error) {
      throw fromSystem(error, WRITE, this.path);
    }
    this.count += answers.length;
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
