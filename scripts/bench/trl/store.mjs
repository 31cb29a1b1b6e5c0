import { readFile, rename, writeFile } from "node:fs/promises";

/** Rows of a JSON file by name, written as soon as each is done, so that a run goes on where it was ended. */
export class Store {
  static async open(file) {
    try {
      return new Store(file, JSON.parse(await readFile(file, "utf8")));
    } catch (error) {
      if (error.code === "ENOENT") return new Store(file, {});
      throw new Error(`${file}: ${error.message}; delete the file to begin anew`);
    }
  }

  constructor(file, rows) {
    this.file = file;
    this.rows = rows;
  }

  /** Throws where the row was measured with other sizes. */
  has(key, shape) {
    const row = this.rows[key];
    const other = row && Object.keys(shape).find((name) => row.shape[name] !== shape[name]);
    if (other === undefined) return row !== undefined;
    throw new Error(
      `${this.file}: ${key}: was measured with --${other} ${row.shape[other]}, not ${shape[other]}; name another file`,
    );
  }

  async put(key, row) {
    this.rows[key] = row;
    await writeFile(`${this.file}.part`, `${JSON.stringify(this.rows, null, 2)}\n`);
    await rename(`${this.file}.part`, this.file);
  }
}
