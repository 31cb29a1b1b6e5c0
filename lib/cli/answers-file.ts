import { type FileHandle, open } from "node:fs/promises";
import { fromSystem } from "../errors/index.js";
import { type EvaluatedAnswer, recordedAnswer } from "../eval/index.js";
import type { CliContext } from "./context.js";

/**
 * The answers of an evaluation as they come, a line each. What the file holds stays until the first answers are there; what
 * is written then survives whatever ends the evaluation.
 */
export class AnswersFile {
  private file: FileHandle | undefined;
  private count = 0;

  private constructor(private readonly path: string) {}

  /** Throws where the file cannot be written: that is to be known before a model has answered anything. */
  static async at(path: string): Promise<AnswersFile> {
    try {
      await (await open(path, "a")).close();
    } catch (error) {
      throw fromSystem(error, "write the answers to", path);
    }
    return new AnswersFile(path);
  }

  async add(answers: readonly EvaluatedAnswer[]): Promise<void> {
    const lines = answers.map((answer) => `${JSON.stringify(recordedAnswer(answer))}\n`);
    try {
      this.file ??= await open(this.path, "w");
      await this.file.writeFile(lines.join(""));
    } catch (error) {
      throw fromSystem(error, "write the answers to", this.path);
    }
    this.count += answers.length;
  }

  /** Says what is there of an evaluation that did not come to its end. */
  tell(context: CliContext): void {
    if (this.count > 0) context.stderr.write(`the first ${this.count} answers are in ${this.path}\n`);
  }

  async close(): Promise<void> {
    try {
      await this.file?.close();
    } catch (error) {
      throw fromSystem(error, "write the answers to", this.path);
    }
  }
}
