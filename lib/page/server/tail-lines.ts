import { type FileHandle, open, stat } from "node:fs/promises";

const BLOCK = 1 << 16;
/** Bytes that are read at a time; the rest comes with the next look. */
const MOST_READ = 16 << 20;
const LINE_END = 0x0a;

/** The lines that are appended to a file while another process writes it. */
export class TailLines {
  private offset = 0;
  private inode: number | undefined;

  constructor(private readonly path: string) {}

  /** From here on: behind the last whole line that there is. */
  async skip(): Promise<void> {
    await this.inFile(async (file) => {
      const { size, ino } = await file.stat();
      this.inode = ino;
      this.offset = await lastLineEnd(file, size);
    });
  }

  /** The whole lines that have come; undefined where the file is another one, or shorter than it was. */
  async read(): Promise<string[] | undefined> {
    return this.inFile(async (file) => {
      const { size, ino } = await file.stat();
      if (ino !== this.inode || size < this.offset) return undefined;
      if (size === this.offset) return [];
      const buffer = Buffer.alloc(Math.min(size - this.offset, MOST_READ));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, this.offset);
      const end = buffer.subarray(0, bytesRead).lastIndexOf(LINE_END) + 1;
      // A line longer than all that is read at a time is none of ours.
      this.offset += end === 0 && bytesRead === MOST_READ ? bytesRead : end;
      return end === 0 ? [] : buffer.toString("utf8", 0, end - 1).split("\n");
    });
  }

  /** Where there is no file it is as one that was replaced, unless there was none before. */
  private async inFile<T>(use: (file: FileHandle) => Promise<T>): Promise<T | undefined> {
    let file: FileHandle;
    try {
      // To open a pipe would wait for one who writes.
      if (!(await stat(this.path)).isFile()) throw new Error("not a file");
      file = await open(this.path, "r");
    } catch {
      const was = this.inode;
      this.inode = undefined;
      this.offset = 0;
      return was === undefined ? ([] as T) : undefined;
    }
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  }
}

async function lastLineEnd(file: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.alloc(BLOCK);
  for (let end = size; end > 0; end -= BLOCK) {
    const start = Math.max(0, end - BLOCK);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    const found = buffer.subarray(0, bytesRead).lastIndexOf(LINE_END);
    if (found >= 0) return start + found + 1;
  }
  return 0;
}
